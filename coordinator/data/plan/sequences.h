// The token sequences that an encoder sees: [CLS] prompt text [SEP], cut to the job's lengths.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/token_store.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Prompt and text are tokenised apart and joined. This equals tokenising their concatenation, as Hugging Face's
// tools do, wherever the prompt ends with white space or punctuation ("query: "); a prompt that ends inside a word
// ("query" + "text") would be one word there and is two here.
//
// The caller keeps `tokens` alive. Thread-safe: immutable.
class Sequences {
 public:
  // INVALID_ARGUMENT if a length leaves no room for [CLS], a token and [SEP].
  static absl::StatusOr<Sequences> Create(const TokenStore& tokens, const muster::v1::ModelSpec& model);

  uint32_t QueryLength(uint32_t query) const { return query_.Length(tokens_->QueryLength(query)); }
  uint32_t PassageLength(uint32_t passage) const { return passage_.Length(tokens_->PassageLength(passage)); }

  // Fills in the sequences of `slots`: slot i < queries.size() is queries[i], the others passages[i - queries.size()].
  void FillMicroBatch(std::span<const uint32_t> queries, std::span<const uint32_t> passages,
                      std::span<const uint32_t> slots, muster::v1::MicroBatch& micro_batch) const;

  // Everything that decides the ids: of tokenizer, prompts and lengths.
  std::string identity() const;

 private:
  struct Side {
    std::vector<uint32_t> prompt;  // ids, already cut
    uint32_t limit = 0;            // ids without [CLS] and [SEP]
    uint32_t Length(uint32_t text) const;
  };
  explicit Sequences(const TokenStore& tokens) : tokens_(&tokens) {}

  const TokenStore* tokens_;
  Side query_, passage_;
};

}  // namespace muster
