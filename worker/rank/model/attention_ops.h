// Attention over a packed batch as one operation, forward and backward, for every type of device.
//
// One call computes all sequences of a plan, however many lengths they have. For head h (keys and values: head
// h / (heads / key_value_heads)), and query i and key j of one sequence of L tokens:
//
//   s(i, j) = q(i) . k(j) / sqrt(d) + distance_bias(j - i + longest - 1, h)    float32; float64 where qkv is float64
//   seen(i, j): |i - j| <= window where window > 0, and j <= i where causal
//   lse(i) = log(sum over seen j of exp(s(i, j)))                              (i sees itself: the sum is not empty)
//   p(i, j) = exp(s(i, j) - lse(i)) where seen, otherwise 0
//   out(i) = sum over j of mask(i, j) * p(i, j) * v(j)
//
// mask(i, j) is 0 or rate.scale: dropout.h's element (h * L + i) * L + j of site kProbabilities, keyed by
// DropoutKey(plan.keys[sequence], {layer, kProbabilities}). All elements of the L x L square are numbered, seen or not.
// bfloat16: q, k and v are read as bfloat16; s, the softmax and the mask are float32; mask * p may be rounded to bfloat16
// for its product with v, and the gradients of s for their products with q and k, as flash attention does; sums of
// products are float32; out and d_qkv are rounded once.
//
// An implementation keeps these laws:
// - A sequence's rows of `out`, `lse` and `d_qkv` are the same bits whatever its neighbors in the batch are, and however
//   many threads or blocks compute. The gradient of the bias is a sum over the sequences in the plan's order, the same
//   bits in every call with the same arguments.
// - No mask and no probability is stored: the backward computes p from lse, and draws the mask again.
// - Nothing waits for the device, and the number of launches does not depend on the batch.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>

#include <cstdint>

#include "worker/rank/model/dropout.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// The tokens that each token attends to, and the layout of the heads.
struct AttentionForm {
  int64_t heads = 1;
  int64_t key_value_heads = 0;  // each serves heads / key_value_heads neighboring heads; 0: heads
  bool causal = false;          // a token sees itself and those before it
  int64_t window = 0;           // a token sees those at most this far away; 0: all
  // A bias that depends on the distance of two tokens, added to their score: [2 * longest - 1, heads], row key - query +
  // longest - 1, float32, or float64 if qkv is. Undefined: none. It receives its gradient.
  at::Tensor distance_bias;
  bool backward = true;  // a Backward follows; if not, Forward may leave `lse` undefined

  int64_t KeyValueHeads() const { return key_value_heads > 0 ? key_value_heads : heads; }
};

// Dropout of the probabilities of one layer.
struct AttentionMask {
  DropoutRate rate;
  int64_t layer = 0;
};

struct AttentionResult {
  at::Tensor out;  // [T, heads * d], of qkv's type: row t, columns from h * d on
  // Further inputs of the backward. lse: float32 (float64 for qkv of float64), dense [heads, T]: element h * T + t.
  // An implementation that does not need it leaves it undefined. random: only for torch's flash attention.
  at::Tensor lse;
  at::Tensor random;
};

struct AttentionGradients {
  at::Tensor qkv;            // like qkv
  at::Tensor distance_bias;  // like form.distance_bias, and undefined where that is
};

class AttentionOps {
 public:
  virtual ~AttentionOps() = default;
  // Whether Forward and Backward support this combination. All others run as products of dense tensors.
  virtual bool Takes(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                     const SequencePlan& plan) const = 0;
  // qkv: dense [T, (heads + 2 * key_value_heads) * d], T = plan.rows: queries of all heads, then keys, then values.
  virtual AttentionResult Forward(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                                  const SequencePlan& plan) const = 0;
  // d_out: dense, like out. All other arguments are those of Forward, or its results.
  virtual AttentionGradients Backward(const at::Tensor& d_out, const at::Tensor& qkv, const AttentionResult& result,
                                      const AttentionForm& form, const AttentionMask& mask,
                                      const SequencePlan& plan) const = 0;
};

// The operations that compute this on qkv's device: the registered ones, or else products of dense tensors.
const AttentionOps& AttentionOpsFor(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                                    const SequencePlan& plan);
// Call it before the first use on that device. `ops` must live forever. The CPU's operations are built in.
void RegisterAttentionOps(c10::DeviceType device, const AttentionOps& ops);

// The CPU's: float32 and bfloat16 in every form, on the threads of at::parallel_for.
const AttentionOps& CpuAttentionOps();
// Products of dense tensors, launched for each length of the batch, on any device and for every form. Needs the device's
// DropoutOps. The reference for the fused operations.
const AttentionOps& DenseAttentionOps();
// torch's variable-length flash attention. Takes bfloat16 on a GPU, without a bias, and with dropout only where
// plan.attention_keys says kLaunch.
const AttentionOps& TorchFlashAttentionOps();

}  // namespace muster
