// The token sequences that an encoder sees: prefix, prompt, text, suffix, cut to the job's lengths.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/token_store.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// The prompts of the job: the resolved ones or, for jobs of versions that did not store these, the specification's.
muster::v1::Prompts PromptsOf(const muster::v1::ModelSpec& model, const muster::v1::ResolvedJob& resolved);

// The prompts that the tokenizer must see together with each text, as Hugging Face's tools tokenize them; the ids of
// the others are put before the text's. Jobs of versions that did not store resolved prompts join none, so that they continue
// as they began.
JoinedPrompts PromptsToJoin(const Tokenizer& tokenizer, const muster::v1::ModelSpec& model,
                            const muster::v1::ResolvedJob& resolved);

// Prefix and suffix are the tokenizer's special tokens around one sequence, [CLS] and [SEP] of BERT; they survive the
// cut. What is too long loses its last tokens, or its first ones if the tokenizer says so.
//
// Where the job keeps prompts out of pooling, MicroBatch.unpooled counts the tokens that pooling leaves out at the
// beginning of each sequence, the prefix ([CLS]) included: 0 to unpooled - 1. It is the prompt's length as
// sentence-transformers 6 counts it (include_prompt: false): the prompt tokenized alone, cut, with its special tokens
// but the last one. Of a sequence shorter than that, only the last token is pooled.
//
// Queries and passages are numbered through the stores, as TrainingTexts does; with one store, they are the store's own.
//
// The caller keeps the stores alive. Thread-safe: immutable.
class Sequences {
 public:
  // INVALID_ARGUMENT if a length leaves no room for a token between prefix and suffix. INTERNAL if `tokens` was built
  // for other prompts.
  static absl::StatusOr<Sequences> Create(const TokenStore& tokens, const muster::v1::ModelSpec& model,
                                          const muster::v1::ResolvedJob& resolved);
  // Of several datasets, by one tokenizer. At least one store.
  static absl::StatusOr<Sequences> Create(std::vector<const TokenStore*> stores, const muster::v1::ModelSpec& model,
                                          const muster::v1::ResolvedJob& resolved);

  uint32_t QueryLength(uint32_t query) const {
    const Text text = QueryAt(query);
    return Length(query_, text.store->QueryLength(text.index));
  }
  uint32_t PassageLength(uint32_t passage) const {
    const Text text = PassageAt(passage);
    return Length(passage_, text.store->PassageLength(text.index));
  }
  // A prefetch hint, for reading the lengths of many passages at random places.
  void PrefetchPassageLength(uint32_t passage) const {
    const Text text = PassageAt(passage);
    text.store->PrefetchPassageRange(text.index);
  }

  // Fills in the sequences of `slots`: slot i < queries.size() is queries[i], the others passages[i - queries.size()].
  // `narrow`: as narrow_tokens, if all ids of the tokenizer fit. `micro_batch` is empty; one that was cleared keeps its
  // memory.
  void FillMicroBatch(std::span<const uint32_t> queries, std::span<const uint32_t> passages,
                      std::span<const uint32_t> slots, bool narrow, muster::internal::v1::MicroBatch& micro_batch) const;

  // Everything that decides the ids: of tokenizer, prompts and lengths.
  std::string identity() const;

 private:
  struct Side {
    std::vector<uint32_t> prompt;  // ids that are put before the text's; empty if the store holds both together
    uint32_t limit = 0;            // ids without prefix and suffix
    uint32_t unpooled = 0;
  };
  struct Text {
    const TokenStore* store;
    uint32_t index;
  };
  struct TextRange {
    const TokenStore* store;
    TokenStore::Range range;
  };
  explicit Sequences(std::vector<const TokenStore*> stores);
  Text QueryAt(uint32_t number) const { return TextAt(first_query_, number); }
  Text PassageAt(uint32_t number) const { return TextAt(first_passage_, number); }
  Text TextAt(const std::vector<uint32_t>& first, uint32_t number) const {
    return stores_.size() == 1 ? Text{stores_[0], number} : Find(first, number);
  }
  Text Find(const std::vector<uint32_t>& first, uint32_t number) const;
  const Tokenizer& tokenizer() const { return stores_[0]->tokenizer(); }
  absl::Status Fill(const char* name, const std::string& prompt, const std::string& joined, uint32_t max_length,
                    bool exclude_prompt, Side& side) const;
  uint32_t Length(const Side& side, uint32_t text) const;
  template <typename Id>
  Id* WriteSequence(const Side& side, const TextRange& text, Id* out) const;
  template <typename Id>
  void WriteTokens(std::span<const uint32_t> slots, size_t queries, std::span<const TextRange> texts, uint64_t total,
                   std::string& tokens) const;
  uint32_t special_tokens() const;

  std::vector<const TokenStore*> stores_;
  std::vector<uint32_t> first_query_, first_passage_;  // number of each store's first one
  Side query_, passage_;
};

}  // namespace muster
