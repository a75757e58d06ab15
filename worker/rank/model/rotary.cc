#include "worker/rank/model/rotary.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/pow.h>
#include <torch/csrc/autograd/custom_function.h>

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// `sign` -1 rotates back, which computes the gradient.
at::Tensor Turned(const at::Tensor& rows, const at::Tensor& cosines, const at::Tensor& sines, int64_t heads,
                  int64_t head_size, double sign) {
  at::Tensor out = rows.clone(at::MemoryFormat::Contiguous);
  const int64_t half = head_size / 2;
  const std::vector<int64_t> shape = {rows.size(0), heads, head_size};
  const at::Tensor from = rows.narrow(1, 0, heads * head_size).view(shape);
  const at::Tensor to = out.narrow(1, 0, heads * head_size).view(shape);
  const at::Tensor first = from.narrow(2, 0, half), second = from.narrow(2, half, half), turn = sines * sign;
  to.narrow(2, 0, half).copy_(first * cosines - second * turn);
  to.narrow(2, half, half).copy_(second * cosines + first * turn);
  return out;
}

struct RotateFunction : torch::autograd::Function<RotateFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& rows, const at::Tensor& cosines,
                            const at::Tensor& sines, int64_t heads, int64_t head_size) {
    context->save_for_backward({cosines, sines});
    context->saved_data["heads"] = heads;
    context->saved_data["head_size"] = head_size;
    return Turned(rows.contiguous(), cosines, sines, heads, head_size, 1);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {Turned(gradients[0].contiguous(), saved[0], saved[1], context->saved_data["heads"].toInt(),
                   context->saved_data["head_size"].toInt(), -1),
            {}, {}, {}, {}};
  }
};

}  // namespace

Rotary MakeRotary(double theta, int64_t head_size, const SequencePlan& plan, at::ScalarType type, at::Device device) {
  const at::Tensor exponents = at::arange(0, head_size, 2, at::kFloat) / head_size;
  const at::Tensor frequencies = 1 / at::pow(theta, exponents);
  const at::Tensor angles = at::arange(plan.longest, at::kFloat).unsqueeze(1) * frequencies;
  const auto of_tokens = [&](const at::Tensor& table) {
    return table.to(type).to(device).index_select(0, plan.positions).unsqueeze(1);
  };
  return {of_tokens(angles.cos()), of_tokens(angles.sin())};
}

at::Tensor Rotate(const at::Tensor& rows, const Rotary& rotary, int64_t heads, int64_t head_size) {
  return RotateFunction::apply(rows, rotary.cosines, rotary.sines, heads, head_size);
}

}  // namespace muster
