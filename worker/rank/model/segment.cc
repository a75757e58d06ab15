#include "worker/rank/model/segment.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Variables: the segment's inputs, then its parameters.
struct SegmentFunction : torch::autograd::Function<SegmentFunction> {
  static variable_list forward(AutogradContext* context, at::TensorList variables, int64_t inputs,
                               const SegmentPtr& segment, const SegmentCallPtr& call) {
    variable_list kept;
    variable_list outputs = segment->Forward(variables.slice(0, inputs).vec(), *call, kept);
    const int64_t used = static_cast<int64_t>(kept.size());
    // Autograd refuses a backward after these changed.
    const variable_list read = segment->Parameters().read;
    kept.insert(kept.end(), read.begin(), read.end());
    context->save_for_backward(std::move(kept));
    context->saved_data["inputs"] = inputs;
    context->saved_data["used"] = used;
    context->saved_data["segment"] = c10::IValue::make_capsule(segment);
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return outputs;
  }

  static variable_list backward(AutogradContext* context, variable_list d_outputs) {
    const variable_list saved = context->get_saved_variables();
    const int64_t inputs = context->saved_data["inputs"].toInt(), used = context->saved_data["used"].toInt();
    const auto capsule = context->saved_data["segment"].toCapsule();
    const auto call = context->saved_data["call"].toCapsule();
    const auto& segment = static_cast<const Segment&>(*capsule);
    const variable_list parameters = segment.Parameters().all;
    std::vector<bool> wanted;
    for (int64_t i = 0; i < inputs; ++i) wanted.push_back(context->needs_input_grad(i));
    ParameterGradients gradients(parameters);
    variable_list result = segment.Backward(d_outputs, static_cast<const SegmentCall&>(*call),
                                            {saved.begin(), saved.begin() + used}, wanted, gradients);
    const variable_list returned = gradients.Returned();
    result.insert(result.end(), returned.begin(), returned.end());
    result.insert(result.end(), 3, at::Tensor());  // for the three arguments that are not tensors
    return result;
  }
};

}  // namespace

SegmentCallPtr MakeCall(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) {
  auto call = c10::make_intrusive<SegmentCall>();
  call->plan = plan;
  call->keeps = at::GradMode::is_enabled();
  call->hidden = DropoutRate(dropout.hidden);
  call->attention = DropoutRate(dropout.attention);
  call->tokens = tokens;
  return call;
}

std::vector<at::Tensor> RunSegment(const SegmentPtr& segment, const std::vector<at::Tensor>& inputs,
                                   const SegmentCallPtr& call) {
  if (!call->keeps) {
    variable_list kept;
    return segment->Forward(inputs, *call, kept);
  }
  variable_list variables = inputs;
  const variable_list parameters = segment->Parameters().all;
  variables.insert(variables.end(), parameters.begin(), parameters.end());
  return SegmentFunction::apply(at::TensorList(variables), static_cast<int64_t>(inputs.size()), segment, call);
}

}  // namespace muster
