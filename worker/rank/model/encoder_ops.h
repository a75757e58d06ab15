// The row operations of an encoder, forward and backward, one implementation per type of device. An encoder is a fixed sequence
// of these, of matrix products (at::mm, addmm) and PackedAttention(): the same for every batch.
//
// Common to all operations:
// - Tensors are dense (contiguous), are on the implementation's device, and are allocated by the caller. "Rows"
//   have the encoder's type of activations E: float32, float64 (tests), or bfloat16. Everything else, which is parameters,
//   their gradients and statistics, has the type P: float32 where E is bfloat16, otherwise E. All arithmetic is in P; a
//   result is rounded to E once, when it is stored. Where a row is both stored and used further on (the sum before a
//   norm), the rounded value is what is used, so that the backward sees the forward's numbers.
// - T rows belong to the sequences of a SequencePlan, in its order. T = plan.rows unless an operation says otherwise.
// - A tensor that is documented as optional may be undefined: the input is then 0 (a weight: 1), the output not computed.
// - Outputs are overwritten. Gradients of parameters ("+=") are added to the former values, which are the sum over the
//   micro-batches before. Masked gradients are drawn again from the mask's key; no mask is ever stored.
// - Order of sums: a row's own sums (norms) depend on the row alone. Column sums (gradients of biases and norm weights)
//   and scattered rows are added in a fixed order that depends on T and the width alone, never on the number of threads
//   or on which block finishes first. Two calls with the same inputs give the same bytes. A sum over several
//   micro-batches depends on the cut by rounding, as a product's weight gradient does (docs/design/exactness.md).
// - In-place use: an output may be the same tensor as an input only where the operation says so. Otherwise they do not
//   overlap.
// - Nothing waits for the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "worker/rank/model/dropout.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// Dropout of rows: element (row of the sequence * width + column) of a site, as dropout.h defines it.
struct RowMask {
  DropoutRate rate;
  DropoutPlace place;
  bool active() const { return rate.active(); }
};

// LayerNorm, (x - mean) / sqrt(variance + epsilon) * weight + bias, or with `rms` RMSNorm,
// x / sqrt(mean(x^2) + epsilon) * weight. The variance is the mean of (x - mean)^2, computed after the mean.
struct Norm {
  at::Tensor weight;  // P [H]
  at::Tensor bias;    // P [H], optional
  double epsilon = 1e-12;
  bool rms = false;
};

// The outputs of a backward's column sums, each P [H], += and optional.
struct NormGradients {
  at::Tensor weight, bias;
  at::Tensor product_bias;  // of AddNorm's `bias`
};

enum class Activation { kGelu, kGeluTanh, kRelu, kSilu, kTanh };
// The activation with this name in transformers. Throws c10::Error for any other name.
Activation ActivationFrom(std::string_view name);

// The word, position and type embeddings whose sum is a token's. tokens, positions: int64 [T] on the device.
struct EmbeddingTables {
  at::Tensor words;  // P [vocabulary, H]
  at::Tensor tokens;
  at::Tensor position_table;  // P [positions, H], optional
  at::Tensor positions;       // where position_table is defined
  at::Tensor type_row;        // P [H], optional: one row for all tokens
};

class EncoderOps {
 public:
  virtual ~EncoderOps() = default;

  // out [T, H] = dropout(norm(word + position + type)). The sum is P, not rounded. norm.weight undefined: no norm.
  // statistics: P [T, 2], (mean, 1 / deviation) per row, mean 0 for RMSNorm; optional.
  virtual void EmbedNorm(const EmbeddingTables& tables, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
                         at::Tensor& statistics, at::Tensor& out) const = 0;
  // d_sum: P [T, H], the gradient of each token's sum; the sum itself is gathered from the tables again.
  // gradients.product_bias: gradient of type_row.
  virtual void EmbedNormBackward(const at::Tensor& d_out, const EmbeddingTables& tables, const Norm& norm,
                                 const RowMask& mask, const SequencePlan& plan, const at::Tensor& statistics,
                                 at::Tensor& d_sum, const NormGradients& gradients) const = 0;

  // table P [rows, H]: table[indices[t]] += rows[t], of equal indices in ascending t. rows: P [T, H].
  virtual void AddToRows(const at::Tensor& rows, const at::Tensor& indices, at::Tensor& table) const = 0;

  // sum = residual + mask * (product + bias); out = norm(sum). E [T, H].
  // residual, bias (P [H]): optional. `sum` may be `product`; where there is neither residual, bias nor mask, it must
  // be, and is unchanged. statistics as in EmbedNorm. With an inactive mask T need not be the plan's: rows may be
  // heads, [T * heads, d].
  virtual void AddNorm(const at::Tensor& product, const at::Tensor& bias, const at::Tensor& residual, const Norm& norm,
                       const RowMask& mask, const SequencePlan& plan, at::Tensor& sum, at::Tensor& statistics,
                       at::Tensor& out) const = 0;
  // d_sum = (gradient that reaches `sum` from elsewhere: d_sum_before, optional) + norm's backward of d_out; it is also
  // the residual's gradient. d_product = mask * d_sum, optional where the mask is inactive (it would be d_sum). d_sum
  // may be d_out or d_sum_before; d_product neither. gradients.product_bias: column sums of d_product before it is
  // rounded to E. `out`, optional: the forward's output again, to the bit, so that it need not be kept; it overlaps
  // nothing.
  virtual void AddNormBackward(const at::Tensor& d_out, const at::Tensor& d_sum_before, const at::Tensor& sum,
                               const at::Tensor& statistics, const Norm& norm, const RowMask& mask,
                               const SequencePlan& plan, at::Tensor& d_sum, at::Tensor& d_product,
                               const NormGradients& gradients, at::Tensor& out) const = 0;

  // Plain: out E [T, I] = mask * f(x + bias), x E [T, I], bias P [I] optional.
  // Gated (x E [T, 2 I], bias P [2 I]): out = mask * (f(a) * b), a the first I columns of x + bias, b the others.
  // `out` may be x where not gated.
  virtual void Activate(const at::Tensor& x, const at::Tensor& bias, Activation activation, bool gated,
                        const RowMask& mask, const SequencePlan& plan, at::Tensor& out) const = 0;
  // d_x has the shape of x. The column sums of d_x, before it is rounded to E, are added to d_bias, which is optional.
  // `out`, optional: computes the forward's output again, so that it need not be kept. d_x may be d_out unless gated.
  virtual void ActivateBackward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& bias,
                                Activation activation, bool gated, const RowMask& mask, const SequencePlan& plan,
                                at::Tensor& d_x, const at::Tensor& d_bias, at::Tensor& out) const = 0;

  // sums[i] += column sums of rows E [T, N], each P: the first takes the first columns, as many as it has numbers, and
  // so on, N in all. At most three.
  virtual void AddColumnSums(const at::Tensor& rows, std::span<at::Tensor> sums) const = 0;

  // Pools hidden E [T, H] to one vector per sequence, out P [S, H], as pooling.h defines the modes; plan.unpooled says
  // how many tokens at the beginning of each sequence are left out. `places`, int32 [S, H], only for kMax: the row of
  // the batch that each element comes from (the first of equal ones), -1 where the sequence is left out as a whole.
  virtual void Pool(const at::Tensor& hidden, PoolingMode mode, const SequencePlan& plan, at::Tensor& places,
                    at::Tensor& out) const = 0;
  // d_hidden E [T, H] from d_out P [S, H].
  virtual void PoolBackward(const at::Tensor& d_out, PoolingMode mode, const SequencePlan& plan,
                            const at::Tensor& places, at::Tensor& d_hidden) const = 0;
};

const EncoderOps& EncoderOpsOf(c10::DeviceType device);  // throws c10::Error where none is registered
// Call it before the first use on that device. `ops` must live forever. The CPU's operations are built in.
void RegisterEncoderOps(c10::DeviceType device, const EncoderOps& ops);

}  // namespace muster
