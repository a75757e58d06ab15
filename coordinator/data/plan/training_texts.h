// The queries and passages of all sets that a job trains on, in one numbering.
//
// Numbers count through the datasets, each dataset once: those of the first dataset as it has them, then those of the second,
// and so on. A passage whose text an earlier dataset has, too, gets that one's number, so that equal texts have equal numbers
// and a passage is encoded once (decision 0006). Queries keep a number per dataset. With one dataset, numbers are its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"

namespace muster {

// Thread-safe: immutable. Keeps pointers to the datasets.
class TrainingTexts {
 public:
  // A training set: one split of a dataset.
  struct Set {
    const Dataset* dataset;
    uint32_t split;
  };
  // A text of one of datasets().
  struct Place {
    size_t dataset;
    uint32_t index;
  };
  // A query of a training set.
  struct QueryOfSet {
    uint32_t set, query;
    bool operator==(const QueryOfSet&) const = default;
  };

  // At least one set. Two splits of a dataset have the same dataset, by its digest. OUT_OF_RANGE if numbers exceed 32 bits.
  static absl::StatusOr<TrainingTexts> Join(std::span<const Set> sets);
  static TrainingTexts Of(const Dataset& dataset, uint32_t split);  // the only set

  // Each dataset once, in the order of the sets.
  const std::vector<const Dataset*>& datasets() const { return datasets_; }
  const std::vector<Set>& sets() const { return sets_; }

  // `query` and `passage` are indices of the set's dataset.
  uint32_t QueryNumber(size_t set, uint32_t query) const { return first_query_[dataset_of_[set]] + query; }
  uint32_t PassageNumber(size_t set, uint32_t passage) const {
    const size_t dataset = dataset_of_[set];
    return passages_[dataset].empty() ? first_passage_[dataset] + passage : passages_[dataset][passage];
  }
  Place QueryPlace(uint32_t number) const { return PlaceOf(first_query_, number); }
  Place PassagePlace(uint32_t number) const { return PlaceOf(first_passage_, number); }

  // Judged queries of the other sets that have the same normalized text. Queries of one set are never joined by their texts.
  std::vector<QueryOfSet> SameQueries(size_t set, uint32_t query) const;

  // Identifies the passage's text, also in datasets of older versions, which do not store it.
  uint64_t PassageDigest(uint32_t number) const;
  uint64_t QueryDigest(uint32_t number) const;

 private:
  TrainingTexts() = default;
  static Place PlaceOf(const std::vector<uint32_t>& first, uint32_t number);
  absl::Status NumberTexts();
  void JoinPassages();
  void JoinQueries();

  std::vector<Set> sets_;
  std::vector<size_t> dataset_of_;  // set → index of datasets_
  std::vector<const Dataset*> datasets_;
  std::vector<uint32_t> first_query_, first_passage_;  // by dataset
  // By dataset: passage → number. Empty: no earlier dataset has one of its texts.
  std::vector<std::vector<uint32_t>> passages_;
  // Queries that several sets have: the group of each, by set << 32 | query, and the queries of each group.
  absl::flat_hash_map<uint64_t, uint32_t> group_of_;
  std::vector<std::vector<QueryOfSet>> groups_;
};

}  // namespace muster
