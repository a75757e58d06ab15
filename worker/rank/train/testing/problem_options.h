// For tests and benchmarks: options of a trainer that are the same in all of them.
#pragma once

#include "worker/rank/train/trainer.h"

namespace muster {

inline constexpr double kTemperature = 0.2;  // of problem.h's problems

// AdamW as usual at a constant rate, without decay; clipped to 1.
inline TrainerOptions PlainOptions(muster::v1::Objective objective, double temperature, double learning_rate,
                                   double dropout) {
  TrainerOptions options;
  options.loss.set_objective(objective);
  options.loss.set_temperature(temperature);
  options.optimizer.set_learning_rate(learning_rate);
  options.optimizer.set_schedule(muster::v1::SCHEDULE_CONSTANT);
  options.optimizer.set_max_grad_norm(1);
  options.optimizer.set_beta1(0.9);
  options.optimizer.set_beta2(0.999);
  options.optimizer.set_epsilon(1e-8);
  options.hidden_dropout = options.attention_dropout = dropout;
  options.total_steps = 1000;
  return options;
}

// Options for problem.h's problems: with decay, and tiles that cut them.
inline TrainerOptions ProblemOptions(muster::v1::Objective objective, double dropout) {
  TrainerOptions options = PlainOptions(objective, kTemperature, /*learning_rate=*/1e-2, dropout);
  options.optimizer.set_weight_decay(0.01);
  options.seed = 5;
  options.total_steps = 100;
  options.tile_rows = 2;
  options.tile_columns = 5;
  return options;
}

}  // namespace muster
