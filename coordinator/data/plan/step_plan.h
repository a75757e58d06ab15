// The plan of a step: the global batch as a bipartite graph of queries and unique passages. Knows no ranks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/choose.h"
#include "coordinator/data/plan/epoch_order.h"
#include "coordinator/data/plan/training_texts.h"
#include "muster/v1/job.pb.h"

namespace muster {

// The inputs that the plans of a training set share.
struct PlanInputs {
  const Dataset* dataset = nullptr;
  uint32_t split = 0;
  std::vector<uint32_t> queries;  // those with a selectable positive, ascending
  ChoiceRules rules;
  bool weigh = false;      // grades weigh the positives
  uint32_t batch = 0;      // queries of a step
  std::string identity;    // digest of dataset, tokenizer, prompts and lengths: part of every plan's digest
  double weight = 1;       // how often an epoch has each query
};
// The inputs that all plans of a job share.
struct TrainingInputs {
  // `batch` and `identity` of the sets do not count. Some sets may have no queries, but not all of them.
  std::vector<PlanInputs> sets;
  std::shared_ptr<const TrainingTexts> texts;  // of the sets
  uint32_t batch = 0;
  bool homogeneous = false;  // each step has queries of one set
  std::string identity;      // as in PlanInputs, of all datasets

  TrainingInputs() = default;
  explicit TrainingInputs(PlanInputs only_set);

  SetDraws DrawsOf(size_t set) const;
  EpochOrder Order() const;
  uint64_t DrawsPerEpoch() const;  // an epoch's length, in queries
};
// All inputs of a job except the identity. `texts`: the texts of the training sets of spec.data(), in their order.
// INVALID_ARGUMENT names a source that no dataset has. There may be no queries: the caller refuses that.
absl::StatusOr<TrainingInputs> MakeTrainingInputs(std::shared_ptr<const TrainingTexts> texts, const muster::v1::JobSpec& spec);

// The index of `split`. INVALID_ARGUMENT, beginning with `field`, if the dataset lacks it.
absl::StatusOr<uint32_t> FindSplit(const Dataset& dataset, const std::string& split, const std::string& field);

// The passages of a set's query, with the numbers of `texts`.
struct QueryPassages {
  PassagesOfQuery judged;
  std::vector<uint32_t> injected;  // by data.noise, ascending
  bool IsInjected(uint32_t passage) const;
};
// A passage that another set judges relevant to a query with the same text is relevant, so it is no negative. `scored`: with a
// teacher's scores.
QueryPassages ReadPassages(const TrainingInputs& inputs, size_t set, uint32_t query, bool scored);

// The queries of `split` that have a selectable positive, ascending.
std::vector<uint32_t> SelectableQueries(const Dataset& dataset, uint32_t split, const ChoiceRules& rules);

// Rows are queries; columns are unique passages, numbered in order of first appearance (rows in order, each row's
// positives and then its negatives). Edges as CSR over the rows; a column without an edge to a row is its negative.
struct StepPlan {
  uint64_t step = 0, epoch = 0;
  uint32_t stage = 0;  // index of the job's stage. Not part of `digest`, so a stage's plans equal those of a separate job
  bool epoch_end = false;
  uint32_t training_set = 0;       // of all rows, if batches are homogeneous. Not part of `digest`
  std::vector<uint32_t> queries;   // row → query, by its number of TrainingTexts: with one dataset, its query
  std::vector<uint32_t> passages;  // column → passage, likewise
  std::vector<uint32_t> positive_offsets, positives;
  std::vector<float> positive_weights;  // one per element of `positives`; empty: all equal
  bool has_noise = false;                 // with rules.noise
  std::vector<uint32_t> noise_positives;  // indices into `positives`, ascending: those that noise put there
  std::vector<uint32_t> ignored_offsets, ignored;
  std::vector<float> row_weights;  // empty: all 1
  // With rules.distill: each row's passages that a teacher scored, of those that its query brought, positives first. A list of
  // one passage has nothing to compare, so it is left empty. Without rules.distill, all three are empty.
  std::vector<uint32_t> teacher_offsets, teacher_columns;
  std::vector<float> teacher_scores;  // one per element of `teacher_columns`
  double total_weight = 0;         // R
  uint64_t digest = 0;             // of all of the above

  size_t MemoryBytes() const;
};
StepPlan PlanStep(const TrainingInputs& inputs, uint64_t step);
StepPlan PlanStep(const PlanInputs& only_set, uint64_t step);  // copies the inputs

}  // namespace muster
