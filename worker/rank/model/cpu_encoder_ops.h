// The CPU's EncoderOps, in three files by kind: norms, activations, and operations over rows and sequences.
#pragma once

#include "worker/rank/model/encoder_ops.h"

namespace muster::cpu {

void EmbedNorm(const EmbeddingTables& tables, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
               at::Tensor& statistics, at::Tensor& out);
void EmbedNormBackward(const at::Tensor& d_out, const EmbeddingTables& tables, const Norm& norm, const RowMask& mask,
                       const SequencePlan& plan, const at::Tensor& statistics, at::Tensor& d_sum,
                       const NormGradients& gradients);
void AddNorm(const at::Tensor& product, const at::Tensor& bias, const at::Tensor& residual, const Norm& norm,
             const RowMask& mask, const SequencePlan& plan, at::Tensor& sum, at::Tensor& statistics, at::Tensor& out);
void AddNormBackward(const at::Tensor& d_out, const at::Tensor& d_sum_before, const at::Tensor& sum,
                     const at::Tensor& statistics, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
                     at::Tensor& d_sum, at::Tensor& d_product, const NormGradients& gradients, at::Tensor& out);

void Activate(const at::Tensor& x, const at::Tensor& bias, Activation activation, bool gated, const RowMask& mask,
              const SequencePlan& plan, at::Tensor& out);
void ActivateBackward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& bias, Activation activation,
                      bool gated, const RowMask& mask, const SequencePlan& plan, at::Tensor& d_x,
                      const at::Tensor& d_bias, at::Tensor& out);

void AddToRows(const at::Tensor& rows, const at::Tensor& indices, at::Tensor& table);
void AddColumnSums(const at::Tensor& rows, std::span<at::Tensor> sums);
void Pool(const at::Tensor& hidden, PoolingMode mode, const SequencePlan& plan, at::Tensor& places, at::Tensor& out);
void PoolBackward(const at::Tensor& d_out, PoolingMode mode, const SequencePlan& plan, const at::Tensor& places,
                  at::Tensor& d_hidden);

}  // namespace muster::cpu
