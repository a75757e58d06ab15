#include "worker/rank/model/pooling.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "worker/rank/model/encoder_ops.h"

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct PoolFunction : torch::autograd::Function<PoolFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const SequencePlanPtr& plan,
                            int64_t mode) {
    const at::Tensor rows = hidden.contiguous();
    const at::TensorOptions options = rows.options();
    const std::vector<int64_t> shape = {static_cast<int64_t>(plan->lengths.size()), rows.size(1)};
    at::Tensor places,
        out = at::empty(shape, rows.scalar_type() == at::kBFloat16 ? options.dtype(at::kFloat) : options);
    const auto pooling = static_cast<PoolingMode>(mode);
    if (pooling == PoolingMode::kMax) places = at::empty(shape, options.dtype(at::kInt));
    EncoderOpsOf(rows.device().type()).Pool(rows, pooling, *plan, places, out);
    context->save_for_backward({places});
    context->saved_data["type"] = rows.scalar_type();
    context->saved_data["mode"] = mode;
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor places = context->get_saved_variables()[0], d_out = gradients[0].contiguous();
    const auto mode = static_cast<PoolingMode>(context->saved_data["mode"].toInt());
    const auto capsule = context->saved_data["plan"].toCapsule();
    const auto& plan = static_cast<const SequencePlan&>(*capsule);
    at::Tensor d_hidden =
        at::empty({plan.rows, d_out.size(1)}, d_out.options().dtype(context->saved_data["type"].toScalarType()));
    EncoderOpsOf(d_out.device().type()).PoolBackward(d_out, mode, plan, places, d_hidden);
    return {d_hidden, {}, {}};
  }
};

}  // namespace

at::Tensor PoolRows(const at::Tensor& hidden, const SequencePlanPtr& plan, PoolingMode mode) {
  return PoolFunction::apply(hidden, plan, static_cast<int64_t>(mode));
}

}  // namespace muster
