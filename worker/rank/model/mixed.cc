#include "worker/rank/model/mixed.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <optional>
#include <vector>

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// a^T b of bfloat16 [T, m], [T, n], as float32 [m, n]. cuBLAS keeps its float32 sums; oneDNN rounds them first.
at::Tensor TransposedProduct(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cuda() ? at::mm(a.t(), b, at::kFloat) : at::mm(a.t(), b).to(at::kFloat);
}

// Inputs: x, the weights of the masters and their biases if they have any, in turns, and the joined weight and bias in
// bfloat16.
struct MixedLinearFunction : torch::autograd::Function<MixedLinearFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList masters,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["tensors"] = static_cast<int64_t>(masters.size());
    context->saved_data["biases"] = bias.has_value();
    return at::linear(x, weight, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], d_out = gradients[0].contiguous();
    const bool biases = context->saved_data["biases"].toBool();
    const int64_t masters = context->saved_data["tensors"].toInt() / (biases ? 2 : 1), rows = weight.size(0) / masters;
    const at::Tensor d_weight = TransposedProduct(d_out, x);
    const at::Tensor d_bias = biases ? d_out.sum({0}, /*keepdim=*/false, at::kFloat) : at::Tensor();
    variable_list result = {at::mm(d_out, weight)};
    for (int64_t first = 0; first < weight.size(0); first += rows) {
      result.push_back(d_weight.narrow(0, first, rows));
      if (biases) result.push_back(d_bias.narrow(0, first, rows));
    }
    result.insert(result.end(), 2, at::Tensor());
    return result;
  }
};

struct MixedLayerNormFunction : torch::autograd::Function<MixedLayerNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, double epsilon) {
    auto [y, mean, deviation] = at::native_layer_norm(x.to(at::kFloat), {x.size(-1)}, weight, bias, epsilon);
    context->save_for_backward({x, weight, bias.value_or(at::Tensor()), mean, deviation});
    return y.to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    auto [d_x, d_weight, d_bias] =
        at::native_layer_norm_backward(gradients[0].to(at::kFloat), x.to(at::kFloat), {x.size(-1)}, saved[3], saved[4],
                                       saved[1], saved[2], std::array<bool, 3>{true, true, saved[2].defined()});
    return {d_x.to(x.scalar_type()), d_weight, d_bias, {}};
  }
};

}  // namespace

Affine CastJoined(std::span<const Affine> masters) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> weights, biases;
  for (const Affine& master : masters) {
    weights.push_back(master.weight.to(at::kBFloat16));
    if (master.bias.defined()) biases.push_back(master.bias.to(at::kBFloat16));
  }
  return {at::cat(weights), biases.empty() ? at::Tensor() : at::cat(biases)};
}

at::Tensor MixedLinear(const at::Tensor& x, std::span<const Affine> masters, const Affine& cast) {
  std::vector<at::Tensor> tensors;
  for (const Affine& master : masters) {
    tensors.push_back(master.weight);
    if (master.bias.defined()) tensors.push_back(master.bias);
  }
  const auto bias = cast.bias.defined() ? std::optional(cast.bias) : std::nullopt;
  return MixedLinearFunction::apply(x, at::TensorList(tensors), cast.weight, bias);
}

at::Tensor MixedLayerNorm(const at::Tensor& x, const Affine& master, double epsilon) {
  const auto bias = master.bias.defined() ? std::optional(master.bias) : std::nullopt;
  return MixedLayerNormFunction::apply(x, master.weight, bias, epsilon);
}

}  // namespace muster
