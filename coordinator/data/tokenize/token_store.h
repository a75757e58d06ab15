// Token ids of every query and passage of a dataset, made once for a tokenizer, memory-mapped and shared by all jobs.
// Special tokens and truncation are not in it: they are applied when a batch is planned. So are prompts, except where a
// tokenizer may join the end of a prompt and the beginning of a text: then a store holds the ids of both together.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/files.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/tokenize/tokenizer.h"

namespace muster {

// The prompts that precede every query and every passage when it is tokenized. Both empty: only the texts.
struct JoinedPrompts {
  std::string query, passage;
  bool operator==(const JoinedPrompts&) const = default;
};

// Thread-safe: immutable.
class TokenStore {
 public:
  // `folder` holds the stores of any number of datasets and tokenizers, a file each, named by both digests. An existing store
  // is mapped. Otherwise it is built on all cores, written to a temporary file and renamed, so that a crash never leaves a
  // partial store. A broken file is rebuilt. `progress` (may be empty) gets the completed share, 0 to 1, regularly, from the
  // calling thread.
  static absl::StatusOr<std::shared_ptr<const TokenStore>> OpenOrBuild(
      const Dataset& dataset, std::shared_ptr<const Tokenizer> tokenizer, JoinedPrompts prompts,
      const std::filesystem::path& folder, const std::function<void(double share_done)>& progress);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const JoinedPrompts& prompts() const { return prompts_; }
  const std::string& dataset_digest() const { return dataset_digest_; }
  uint32_t queries() const { return queries_; }
  uint32_t passages() const { return passages_; }

  // Number of ids, without special tokens.
  uint32_t QueryLength(uint32_t query) const { return Length(query); }
  uint32_t PassageLength(uint32_t passage) const { return Length(uint64_t{queries_} + passage); }

  // The range of a text's ids. To read many texts fast, read all ranges first and then all ids, and prefetch some texts ahead
  // with the hints below. Otherwise every text waits for memory twice.
  struct Range {
    uint64_t begin = 0;
    uint32_t count = 0;
  };
  Range QueryRange(uint32_t query) const { return RangeOf(query); }
  Range PassageRange(uint32_t passage) const { return RangeOf(uint64_t{queries_} + passage); }
  void PrefetchPassageRange(uint32_t passage) const { __builtin_prefetch(offsets_ + queries_ + passage); }
  void PrefetchIds(const Range& range) const {
    narrow() ? __builtin_prefetch(narrow_ + range.begin) : __builtin_prefetch(wide_ + range.begin);
  }
  // Writes the ids of a range, and returns the end of the output. Id: uint32_t, or uint16_t if the store is narrow.
  template <typename Id>
  Id* Copy(const Range& range, Id* out) const {
    if (narrow()) return std::copy_n(narrow_ + range.begin, range.count, out);
    if constexpr (sizeof(Id) == sizeof(uint32_t)) out = std::copy_n(wide_ + range.begin, range.count, out);
    return out;
  }
  // Whether all of the tokenizer's ids fit 16 bits.
  bool narrow() const { return narrow_ != nullptr; }

  std::vector<uint32_t> Query(uint32_t query) const;
  std::vector<uint32_t> Passage(uint32_t passage) const;

 private:
  TokenStore() = default;
  static absl::StatusOr<std::shared_ptr<const TokenStore>> Map(const Dataset& dataset,
                                                               std::shared_ptr<const Tokenizer> tokenizer,
                                                               const JoinedPrompts& prompts,
                                                               const std::filesystem::path& file);
  uint32_t Length(uint64_t text) const { return static_cast<uint32_t>(offsets_[text + 1] - offsets_[text]); }
  Range RangeOf(uint64_t text) const { return {offsets_[text], Length(text)}; }
  std::vector<uint32_t> Ids(const Range& range) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  JoinedPrompts prompts_;
  std::string dataset_digest_;
  MappedFile file_;
  uint32_t queries_ = 0, passages_ = 0;
  const uint64_t* offsets_ = nullptr;  // [queries + passages + 1], in ids
  const uint16_t* narrow_ = nullptr;   // the ids, if the vocabulary fits in 16 bits
  const uint32_t* wide_ = nullptr;     // otherwise
};

}  // namespace muster
