// Self-attention within each sequence of a packed batch, without padding: runs of equal length are dense batches.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/rank/model/dropout.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// qkv [T, 3 * hidden]: queries, keys and values side by side, hidden = heads * d. Returns softmax(Q K^T / sqrt(d)) V,
// [T, hidden], differentiable. With dropout on the probabilities, these are computed again in the backward instead of
// kept, a few megabytes at a time.
at::Tensor PackedAttention(const at::Tensor& qkv, int64_t heads, const DropoutRate& dropout, int64_t layer,
                           const SequencePlanPtr& plan);

}  // namespace muster
