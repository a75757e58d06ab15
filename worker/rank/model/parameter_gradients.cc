#include "worker/rank/model/parameter_gradients.h"

#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/graph_task.h>

#include <algorithm>

namespace muster {

ParameterGradients::ParameterGradients(std::span<const at::Tensor> parameters)
    : parameters_(parameters), sums_(parameters.size()) {
  // The nodes whose gradients are requested: all of them under backward().
  const auto* asked = torch::autograd::get_current_graph_task_exec_info();
  direct_ = asked != nullptr && asked->empty();
}

at::Tensor ParameterGradients::For(const at::Tensor& parameter) {
  if (!parameter.defined() || !parameter.requires_grad()) return {};
  if (direct_ && parameter.grad().defined() && parameter.grad().is_contiguous()) return parameter.grad();
  const auto found = std::ranges::find_if(parameters_, [&](const at::Tensor& one) { return one.is_same(parameter); });
  TORCH_CHECK(found != parameters_.end(), "a gradient of a parameter that the function was not given");
  at::Tensor& sum = sums_[found - parameters_.begin()];
  if (!sum.defined()) sum = at::zeros_like(parameter);
  return sum;
}

}  // namespace muster
