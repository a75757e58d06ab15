// Matrix products with a model's weights, forward and backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "worker/rank/model/mixed.h"
#include "worker/rank/model/parameter_gradients.h"

namespace muster {

// The parameters of a function: all those whose gradients it computes, and among them those that it reads.
struct ParameterLists {
  std::vector<at::Tensor> all, read;
  void Append(const at::Tensor& parameter, bool is_read = true) {
    if (!parameter.defined()) return;
    all.push_back(parameter);
    if (is_read) read.push_back(parameter);
  }
};

// One product over one input: several weights are joined, as queries, keys and values do.
struct Linear {
  std::vector<Affine> masters;
  Affine cast;  // of all masters, in bfloat16; undefined where the encoder does not compute in it
  // Copies of the masters' weights by PackRightFactor, valid while the weights do not change. Empty: none.
  std::vector<at::Tensor> packed;

  // The trained adapter of a master whose weight is fixed: adds scale * up down to it. Undefined: no adapter.
  struct Adapter {
    at::Tensor down, up;  // [rank, in], [out, rank]
    at::Tensor down_cast, up_cast;
  };
  std::vector<Adapter> adapters;  // empty, or one per master
  double scale = 1;

  int64_t OutputSize() const;
  // Weights, biases and adapters, trained or not. The step does not read weights that have copies in bfloat16.
  void AppendParameters(ParameterLists& parameters) const;
};

// Makes the copies in bfloat16 again.
void RefreshCast(Linear& linear);

// Makes `packed`; only in float32.
void PackWeights(Linear& linear);

// x [T, in] times the weights, side by side: [T, OutputSize()], without the biases. Builds no graph.
at::Tensor Multiply(const Linear& linear, const at::Tensor& x);
// The same, plus the biases.
at::Tensor MultiplyAddBias(const Linear& linear, const at::Tensor& x);

// The gradients of the weights and adapters, not of the biases, which belong to the operation that adds them. d_out: of
// [T, OutputSize()].
void AddWeightGradients(const Linear& linear, const at::Tensor& x, const at::Tensor& d_out,
                        ParameterGradients& gradients);
// The gradient of x.
at::Tensor InputGradient(const Linear& linear, const at::Tensor& d_out);
// d_x += the gradient of x.
void AddInputGradient(const Linear& linear, const at::Tensor& d_out, at::Tensor& d_x);
// The gradients of the biases, as column sums.
void AddBiasGradients(const Linear& linear, const at::Tensor& d_out, ParameterGradients& gradients);

}  // namespace muster
