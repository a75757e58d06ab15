// Reduces the hidden states of tokens to one vector per sequence, like sentence-transformers' Pooling.
#pragma once

#include <ATen/core/Tensor.h>

#include "common/model/encoder_config.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// [T, hidden] → [sequences, hidden]; float32 if the input is bfloat16. The plan's `unpooled` tokens at the beginning of each
// sequence (the prompt's) are left out; a sequence of which nothing is left is 0. With cls, the first token that is
// left is taken; weights of the weighted mean count from the sequence's own first token, and `last` is not affected.
// Differentiable.
at::Tensor PoolRows(const at::Tensor& hidden, const SequencePlanPtr& plan, PoolingMode mode);

}  // namespace muster
