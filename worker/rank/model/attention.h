// Self-attention within each sequence of a packed batch, without padding: AttentionOps as a differentiable function.
#pragma once

#include "worker/rank/model/attention_ops.h"

namespace muster {

// qkv [T, (heads + 2 * key_value_heads) * d]: queries, keys and values side by side. Returns what AttentionOps define,
// [T, heads * d], differentiable. Probabilities and masks are computed again in the backward instead of kept.
at::Tensor PackedAttention(const at::Tensor& qkv, const AttentionForm& form, const DropoutRate& dropout, int64_t layer,
                           const SequencePlanPtr& plan);

}  // namespace muster
