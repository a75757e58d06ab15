// The small problem of worker/rank/train/problem.h, as steps of a trainer on a device.
#pragma once

#include "absl/status/statusor.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/train/problem.h"
#include "worker/rank/train/reference_step.h"
#include "worker/rank/train/trainer.h"

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
  TrainerOptions options;
  options.loss.set_objective(objective);
  options.loss.set_temperature(0.2);
  options.optimizer.set_learning_rate(1e-2);
  options.optimizer.set_schedule(muster::v1::SCHEDULE_CONSTANT);
  options.optimizer.set_max_grad_norm(1);
  options.optimizer.set_weight_decay(0.01);
  options.optimizer.set_beta1(0.9);
  options.optimizer.set_beta2(0.999);
  options.optimizer.set_epsilon(1e-8);
  options.keep_activations = 60000;
  options.seed = 5;
  options.hidden_dropout = options.attention_dropout = 0.1;
  options.total_steps = 100;
  options.tile_rows = 2;
  options.tile_columns = 5;
  return options;
}

inline absl::StatusOr<StepBatch> ProblemBatch(const Problem& problem, const Group& group, at::Device device) {
  return BatchFromShare(ShareOf(problem, group.rank(), group.world_size(), /*micro_tokens=*/40), group.rank(),
                        group.world_size(), ProblemConfig(), device);
}

}  // namespace muster
