// The small problem of worker/rank/train/testing/problem.h, as steps of a trainer on a device.
#pragma once

#include "absl/status/statusor.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/train/testing/problem.h"
#include "worker/rank/train/testing/problem_options.h"
#include "worker/rank/train/testing/reference_step.h"

namespace muster {

// Ragged positives, ignored passages, weights and grades.
inline Problem StepProblem(muster::v1::Objective objective) {
  const bool one_positive = objective == muster::v1::OBJECTIVE_RAND1LH;
  Problem problem = MakeProblem(1, one_positive);
  problem.graded = !one_positive;
  return problem;
}

// Dropout 0.1, small tiles, some graphs kept and some replayed.
inline TrainerOptions StepOptions(muster::v1::Objective objective) {
  TrainerOptions options = ProblemOptions(objective, 0.1);
  options.keep_activations = 60000;
  return options;
}

inline absl::StatusOr<StepBatch> ProblemBatch(const Problem& problem, const Group& group, at::Device device,
                                              const EncoderConfig& config = ProblemConfig()) {
  return BatchFromShare(ShareOf(problem, group.rank(), group.world_size(), /*micro_tokens=*/40), config, device);
}

}  // namespace muster
