#include "worker/rank/model/blocks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <torch/csrc/autograd/custom_function.h>

#include "worker/rank/model/encoder_weights.h"

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Keeps x and one number per row.
struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double epsilon) {
    const at::Tensor wide = x.to(weight.scalar_type());
    const at::Tensor inverse = (wide.square().mean(-1, /*keepdim=*/true) + epsilon).rsqrt();
    context->save_for_backward({x, weight, inverse});
    return (wide * inverse).mul_(weight).to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const at::Tensor gradient = gradients[0].to(weight.scalar_type());
    const at::Tensor normed = x.to(weight.scalar_type()) * inverse, d_normed = gradient * weight;
    const at::Tensor d_x = (d_normed - normed * (d_normed * normed).mean(-1, /*keepdim=*/true)).mul_(inverse);
    const at::Tensor d_weight = (gradient * normed).view({-1, weight.size(0)}).sum(0);
    return {d_x.to(x.scalar_type()), d_weight, {}};
  }
};

}  // namespace

Weights::Weights(std::span<const Parameter> fixed, std::span<const Parameter> parameters, double lora_scale)
    : lora_scale_(lora_scale) {
  for (const auto& list : {fixed, parameters}) {
    for (const Parameter& parameter : list) by_name_[parameter.name] = parameter.value;
  }
}

at::Tensor Weights::Get(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  TORCH_CHECK(found != by_name_.end(), "an encoder without the parameter ", std::string(name));
  return found->second;
}

Affine Weights::GetAffine(const std::string& name) const {
  const auto bias = by_name_.find(name + ".bias");
  return {Get(name + ".weight"), bias == by_name_.end() ? at::Tensor() : bias->second};
}

Linear Weights::GetLinear(std::initializer_list<std::string> names) const {
  Linear linear{.scale = lora_scale_};
  bool adapted = false;
  for (const std::string& name : names) {
    linear.masters.push_back(GetAffine(name));
    const auto down = by_name_.find(name + kLoraDown), up = by_name_.find(name + kLoraUp);
    linear.adapters.emplace_back();
    if (down == by_name_.end()) continue;
    linear.adapters.back() = {.down = down->second, .up = up->second};
    adapted = true;
  }
  if (!adapted) linear.adapters.clear();
  return linear;
}

Norm Weights::GetNorm(const std::string& name, double epsilon, bool rms) const {
  const Affine affine = GetAffine(name);
  return {.weight = affine.weight, .bias = affine.bias, .epsilon = epsilon, .rms = rms};
}

at::Tensor RmsNorm(const at::Tensor& weight, const at::Tensor& x, double epsilon) {
  return RmsNormFunction::apply(x, weight, epsilon);
}

at::Tensor Activate(const std::string& activation, const at::Tensor& x) {
  if (activation == "gelu" || activation == "gelu_python") return at::gelu(x);
  if (activation == "gelu_new" || activation == "gelu_pytorch_tanh" || activation == "gelu_fast") {
    return at::gelu(x, "tanh");
  }
  if (activation == "relu") return at::relu(x);
  if (activation == "silu" || activation == "swish") return at::silu(x);
  if (activation == "tanh") return at::tanh(x);
  if (activation == "sigmoid") return at::sigmoid(x);
  TORCH_CHECK(activation == "identity", "activation ", activation, " is not in families/read.h");
  return x;
}

at::Tensor PositionsWithout(int64_t pad_token, const at::Tensor& tokens, const SequencePlan& plan) {
  std::vector<int64_t> sequence_of_row;
  for (size_t s = 0; s < plan.lengths.size(); ++s) {
    sequence_of_row.insert(sequence_of_row.end(), plan.lengths[s], static_cast<int64_t>(s));
  }
  const at::Device device = tokens.device();
  const at::Tensor counted = tokens.ne(pad_token).to(at::kLong), sums = counted.cumsum(0);
  const at::Tensor first = IndicesOn(device, plan.first_rows);
  const at::Tensor before = sums.index_select(0, first) - counted.index_select(0, first);
  return (sums - before.index_select(0, IndicesOn(device, sequence_of_row))) * counted + pad_token;
}

}  // namespace muster
