// The plan of a step: the global batch as a bipartite graph of queries and unique passages. Knows no ranks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/choose.h"
#include "muster/v1/job.pb.h"

namespace muster {

// The inputs that all plans of a job share.
struct PlanInputs {
  const Dataset* dataset = nullptr;
  uint32_t split = 0;
  std::vector<uint32_t> queries;  // those with a selectable positive, ascending; not empty
  ChoiceRules rules;
  bool weigh = false;      // grades weigh the positives
  uint32_t batch = 0;      // queries of a step
  std::string identity;    // digest of dataset, tokenizer, prompts and lengths: part of every plan's digest
};
// All of a job's inputs except the identity. INVALID_ARGUMENT names a split or source that the dataset lacks. `queries` may
// be empty: the caller refuses that. Keeps a pointer to the dataset.
absl::StatusOr<PlanInputs> MakePlanInputs(const Dataset& dataset, const muster::v1::JobSpec& spec);

// The queries of `split` that have a selectable positive, ascending.
std::vector<uint32_t> SelectableQueries(const Dataset& dataset, uint32_t split, const ChoiceRules& rules);

// The last step of an epoch takes the remaining queries.
constexpr uint64_t StepsPerEpoch(uint64_t queries, uint64_t batch) { return (queries + batch - 1) / batch; }

// Rows are queries; columns are unique passages, numbered in order of first appearance (rows in order, each row's
// positives and then its negatives). Edges as CSR over the rows; a column without an edge to a row is its negative.
struct StepPlan {
  uint64_t step = 0, epoch = 0;
  uint32_t stage = 0;  // index of the job's stage. Not part of `digest`, so a stage's plans equal those of a separate job
  bool epoch_end = false;
  std::vector<uint32_t> queries;   // row → query of the dataset
  std::vector<uint32_t> passages;  // column → passage of the dataset
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
StepPlan PlanStep(const PlanInputs& inputs, uint64_t step);

}  // namespace muster
