#include "worker/rank/model/blocks.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <numeric>

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

void RefreshCast(Linear& linear) {
  const at::NoGradGuard no_grad;
  // Fixed weights are cast once.
  if (!linear.cast.weight.defined() || linear.masters[0].weight.requires_grad()) {
    linear.cast = CastJoined(linear.masters);
  }
  for (Linear::Adapter& adapter : linear.adapters) {
    if (!adapter.down.defined()) continue;
    adapter.down_cast = adapter.down.to(at::kBFloat16);
    adapter.up_cast = adapter.up.to(at::kBFloat16);
  }
}

namespace {

at::Tensor ApplyMasters(const Linear& linear, const at::Tensor& x) {
  if (linear.cast.weight.defined()) {
    const bool trained = linear.masters[0].weight.requires_grad();
    return trained ? MixedLinear(x, linear.masters, linear.cast) : at::linear(x, linear.cast.weight, linear.cast.bias);
  }
  if (linear.masters.size() == 1) return at::linear(x, linear.masters[0].weight, linear.masters[0].bias);
  // Copying the weights side by side costs far less than a product each.
  std::vector<at::Tensor> weights, biases;
  for (const Affine& master : linear.masters) {
    weights.push_back(master.weight);
    if (master.bias.defined()) biases.push_back(master.bias);
  }
  return at::linear(x, at::cat(weights), biases.empty() ? at::Tensor() : at::cat(biases));
}

at::Tensor ApplyAdapter(const Linear::Adapter& adapter, const at::Tensor& x) {
  if (!adapter.down_cast.defined()) return at::linear(at::linear(x, adapter.down), adapter.up);
  const Affine down{adapter.down, {}}, up{adapter.up, {}};
  return MixedLinear(MixedLinear(x, {&down, 1}, {adapter.down_cast, {}}), {&up, 1}, {adapter.up_cast, {}});
}

}  // namespace

at::Tensor Apply(const Linear& linear, const at::Tensor& x) {
  const at::Tensor fixed = ApplyMasters(linear, x);
  if (linear.adapters.empty()) return fixed;
  std::vector<at::Tensor> added;
  for (size_t i = 0; i < linear.adapters.size(); ++i) {
    const bool adapted = linear.adapters[i].down.defined();
    added.push_back(adapted ? ApplyAdapter(linear.adapters[i], x)
                            : at::zeros({x.size(0), linear.masters[i].weight.size(0)}, fixed.options()));
  }
  return at::add(fixed, added.size() == 1 ? added[0] : at::cat(added, 1), linear.scale);
}

at::Tensor LayerNorm(const Affine& affine, const at::Tensor& x, double epsilon) {
  if (x.scalar_type() == at::kBFloat16) return MixedLayerNorm(x, affine, epsilon);
  return at::layer_norm(x, {x.size(-1)}, affine.weight, affine.bias, epsilon);
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
  TORCH_CHECK(activation == "identity", "activation ", activation, " is none of families/read.h");
  return x;
}

at::Tensor EmbedTokens(const at::Tensor& table, const at::Tensor& tokens) {
  // Where a dense gradient is there to be added to, the backward sends the few rows that the tokens name; it would
  // otherwise make one of the vocabulary's size for each batch.
  const bool rows_only = table.grad().defined();
  return at::embedding(table, tokens, /*padding_idx=*/-1, /*scale_grad_by_freq=*/false, /*sparse=*/rows_only);
}

at::Tensor Positions(const SequencePlan& plan, at::Device device) {
  std::vector<int64_t> positions(plan.rows);
  auto out = positions.begin();
  for (const int64_t length : plan.lengths) {
    std::iota(out, out + length, int64_t{0});
    out += length;
  }
  return IndicesOn(device, positions);
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
