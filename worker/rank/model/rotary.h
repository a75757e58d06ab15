// Rotary positions. Source: Su et al., "RoFormer", arXiv 2104.09864; pairs are (i, i + d / 2), as in transformers.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/rank/model/sequence_plan.h"

namespace muster {

// Cosines and sines of each token's angles, [T, 1, d / 2] each.
struct Rotary {
  at::Tensor cosines, sines;
};

// Angles are float32, as in transformers: a model was trained with their roundings. `type`: the tables' type.
Rotary MakeRotary(double theta, int64_t head_size, const SequencePlan& plan, at::ScalarType type, at::Device device);

// Rotates the first `heads` heads of each row of [T, width], and copies the rest. Differentiable; keeps only the tables.
at::Tensor Rotate(const at::Tensor& rows, const Rotary& rotary, int64_t heads, int64_t head_size);

}  // namespace muster
