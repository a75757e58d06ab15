// The byte-pair model: a word's characters are merged pair by pair, the earliest learned merge first.
// Source: huggingface/tokenizers, models/bpe/.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/model.h"

namespace muster {

// Thread-safe: immutable.
class Bpe : public TokenModel {
 public:
  struct Options {
    std::optional<std::string> unk_token;  // absent: unknown characters vanish
    std::string continuing_prefix;         // before every character but the word's first
    std::string end_of_word_suffix;        // after the word's last character
    bool fuse_unk = false;
    bool byte_fallback = false;  // an unknown character becomes tokens "<0x0A>", if all its bytes have one
    bool ignore_merges = false;  // a word that is in the vocabulary is one token
    bool byte_level = false;     // words are bytes, the vocabulary's characters those of ByteCharacters()
  };
  using Merges = std::vector<std::pair<std::string, std::string>>;
  // INVALID_ARGUMENT if the vocabulary lacks the unknown token, or a part or result of a merge.
  static absl::StatusOr<std::unique_ptr<const Bpe>> Create(Vocabulary vocabulary, const Merges& merges,
                                                           Options options);

  void Encode(std::string_view word, std::vector<uint32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Merge {
    uint64_t pair = UINT64_MAX;  // left id << 32 | right id; none: an empty place of the table
    uint32_t rank = 0, id = 0;
  };
  struct Symbol {
    uint32_t id;
    int32_t previous, next;  // -1: none
    bool merged_away;
    uint32_t joined = UINT32_MAX;  // id of the token that this symbol and the next one merge into, if they do
  };
  class Symbols;

  Bpe(Vocabulary vocabulary, Options options) : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {}
  std::optional<uint32_t> IdOf(std::string_view word, size_t begin, size_t end, std::string& buffer) const;
  void FillSymbols(std::string_view word, Symbols& symbols) const;
  bool FillBytes(std::string_view word, Symbols& symbols) const;
  bool AddFallback(std::string_view character, Symbols& symbols) const;
  void MergeAll(Symbols& symbols) const;
  void MakeTable(const absl::flat_hash_map<uint64_t, uint32_t>& ranks);
  const Merge* Find(uint32_t left, uint32_t right) const;

  const Vocabulary vocabulary_;
  const Options options_;
  // Indexed by a hash of the pair, with linear probing. At most half full.
  std::vector<Merge> merges_;
  int merges_shift_ = 0;            // 64 - log2 of the table's size
  std::vector<uint32_t> made_ids_;  // by rank
  uint32_t unk_ = 0;
  std::vector<uint32_t> character_ids_;  // by code point up to U+FFFF; kNoId: not in the vocabulary
  std::array<std::optional<uint32_t>, 256> byte_ids_;      // of ByteCharacters()
  std::array<std::optional<uint32_t>, 256> fallback_ids_;  // of "<0x00>" to "<0xFF>"
};

}  // namespace muster
