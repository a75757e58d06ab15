// The unigram model: among all ways to cut a word into tokens, it takes the one with the largest sum of scores.
// Source: huggingface/tokenizers, models/unigram/model.rs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/byte_trie.h"
#include "coordinator/data/tokenize/model.h"

namespace muster {

// Thread-safe: immutable.
class Unigram : public TokenModel {
 public:
  using Scores = std::vector<std::pair<std::string, double>>;  // token and score, by id
  // INVALID_ARGUMENT if `unk` is not an id.
  static absl::StatusOr<std::unique_ptr<const Unigram>> Create(const Scores& scores, uint32_t unk, bool byte_fallback);

  void Encode(std::string_view word, std::vector<uint32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  Unigram() = default;
  void AddUnknown(std::string_view text, std::vector<uint32_t>& reversed) const;

  Vocabulary vocabulary_;
  ByteTrie trie_;
  std::vector<double> scores_;  // by id
  double unk_score_ = 0;
  uint32_t unk_ = 0;
  bool byte_fallback_ = false;
  std::vector<std::optional<uint32_t>> fallback_ids_;  // of "<0x00>" to "<0xFF>"
};

}  // namespace muster
