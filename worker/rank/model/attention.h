// Self-attention within each sequence of a packed batch, without padding: runs of equal length are dense batches.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/rank/model/dropout.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// What a token sees, and how heads are cut.
struct AttentionForm {
  int64_t heads = 1;
  int64_t key_value_heads = 0;  // each serves heads / key_value_heads neighboring heads; 0: heads
  bool causal = false;          // a token sees itself and those before it
  int64_t window = 0;           // a token sees those at most this far away; 0: all
  // What is added to scores of tokens this far apart: [2 * longest - 1, heads], row key - query + longest - 1, of
  // float32, or of float64 for qkv of float64. Undefined: nothing. It receives its gradient.
  at::Tensor distance_bias;

  int64_t KeyValueHeads() const { return key_value_heads > 0 ? key_value_heads : heads; }
};

// qkv [T, (heads + 2 * key_value_heads) * d]: queries, keys and values side by side. Returns
// softmax(Q K^T / sqrt(d) + bias) V, [T, heads * d], differentiable. Where dropout on the probabilities, a bias or a
// window asks for them, these are computed again in the backward instead of kept, a few megabytes at a time.
at::Tensor PackedAttention(const at::Tensor& qkv, const AttentionForm& form, const DropoutRate& dropout, int64_t layer,
                           const SequencePlanPtr& plan);

}  // namespace muster
