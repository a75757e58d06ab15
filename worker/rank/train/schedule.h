// The learning rate and the clipping of gradients, as pure functions.
#pragma once

#include <cstdint>

#include "muster/v1/job.pb.h"

namespace muster {

// The rate of the update at `step` (0-based, below `total_steps`). With w = round(warmup * total_steps), at most
// total_steps, warmup steps:
//   step < w                rate * (step + 1) / w      the first update moves the weights, the last warmup step has all
//   then, linear            rate * (total - step) / (total - w)
//   then, cosine            rate * (1 + cos(pi * (step - w) / (total - w))) / 2
//   then, constant          rate
// After warmup these are transformers' get_{linear,cosine,constant}_schedule_with_warmup; during warmup transformers has step /
// w, whose first update has a rate of 0. Linear and cosine reach 0 at total_steps, so every step's rate is > 0.
double LearningRateAt(const muster::v1::OptimizerSpec& spec, uint64_t step, uint64_t total_steps);
// The same for a part of the model whose rate has another maximum.
double LearningRateAt(const muster::v1::OptimizerSpec& spec, double maximum, uint64_t step, uint64_t total_steps);

// The factor for gradients that keeps their norm at most `max_norm`; 1 if it already is, or if
// max_norm is 0 (no clipping). Source: torch.nn.utils.clip_grad_norm_: max_norm / (norm + 1e-6), at most 1.
double ClipFactor(double norm, double max_norm);

}  // namespace muster
