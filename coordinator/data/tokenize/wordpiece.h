// The WordPiece model: cuts a word, from its left, into the longest entries of the vocabulary; else the unknown token.
// Source: huggingface/tokenizers, models/wordpiece/mod.rs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/model.h"

namespace muster {

// Thread-safe: immutable.
class WordPiece : public TokenModel {
 public:
  struct Options {
    std::string unk_token = "[UNK]";
    std::string continuing_prefix = "##";
    uint64_t max_characters = 100;  // a longer word is unknown
  };
  // INVALID_ARGUMENT if the vocabulary lacks the unknown token.
  static absl::StatusOr<std::unique_ptr<const WordPiece>> Create(Vocabulary vocabulary, Options options);

  void Encode(std::string_view word, std::vector<uint32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  WordPiece(Vocabulary vocabulary, Options options)
      : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {}

  const Vocabulary vocabulary_;
  const Options options_;
  absl::flat_hash_map<std::string_view, uint32_t> words_;          // whole words and first pieces
  absl::flat_hash_map<std::string_view, uint32_t> continuations_;  // without their prefix
  size_t longest_ = 0;                                             // bytes
  uint32_t unk_ = 0;
};

}  // namespace muster
