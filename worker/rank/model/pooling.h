// From the hidden states of tokens to one vector per sequence, as sentence-transformers' Pooling does.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "common/model/encoder_config.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// [T, hidden] → [sequences, hidden]. `unpooled`: how many tokens at the beginning of each sequence are left out (the
// prompt's); empty: none. A sequence of which nothing is left is 0. With cls, the first token that is left is taken;
// weights of the weighted mean count from the sequence's own first token, and `last` is not affected.
at::Tensor PoolRows(const at::Tensor& hidden, const SequencePlan& plan, const std::vector<int64_t>& unpooled,
                    PoolingMode mode);

}  // namespace muster
