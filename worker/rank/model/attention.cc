#include "worker/rank/model/attention.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <atomic>
#include <optional>

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The operations of each type of device.
std::array<std::atomic<const AttentionOps*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES>& Registered() {
  static std::array<std::atomic<const AttentionOps*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES> registered = {
      &CpuAttentionOps()};
  static_assert(static_cast<int>(c10::DeviceType::CPU) == 0);
  return registered;
}

at::Tensor OrUndefined(const std::optional<at::Tensor>& tensor) { return tensor.value_or(at::Tensor()); }

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const std::optional<at::Tensor>& bias,
                            AttentionForm form, const AttentionMask& mask, const SequencePlanPtr& plan) {
    form.distance_bias = OrUndefined(bias);
    const AttentionResult result = AttentionOpsFor(qkv, form, mask, *plan).Forward(qkv, form, mask, *plan);
    context->save_for_backward({qkv, OrUndefined(bias), result.out, result.lse, result.random});
    context->saved_data["heads"] = form.heads;
    context->saved_data["key_value_heads"] = form.key_value_heads;
    context->saved_data["causal"] = form.causal;
    context->saved_data["window"] = form.window;
    context->saved_data["probability"] = mask.rate.threshold / 65536.0;
    context->saved_data["layer"] = mask.layer;
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return result.out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto saved_int = [context](const char* name) { return context->saved_data[name].toInt(); };
    const AttentionForm form{.heads = saved_int("heads"),
                             .key_value_heads = saved_int("key_value_heads"),
                             .causal = context->saved_data["causal"].toBool(),
                             .window = saved_int("window"),
                             .distance_bias = saved[1]};
    const AttentionMask mask{DropoutRate(context->saved_data["probability"].toDouble()), saved_int("layer")};
    const auto capsule = context->saved_data["plan"].toCapsule();
    const auto& plan = static_cast<const SequencePlan&>(*capsule);
    const AttentionResult result{.out = saved[2], .lse = saved[3], .random = saved[4]};
    AttentionGradients all = AttentionOpsFor(saved[0], form, mask, plan)
                                 .Backward(gradients[0].contiguous(), saved[0], result, form, mask, plan);
    return {all.qkv, all.distance_bias, {}, {}, {}};
  }
};

}  // namespace

const AttentionOps& AttentionOpsFor(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                                    const SequencePlan& plan) {
  if (TorchFlashAttentionOps().Takes(qkv, form, mask, plan)) return TorchFlashAttentionOps();
  const AttentionOps* ops = Registered()[static_cast<size_t>(qkv.device().type())].load();
  return ops != nullptr && ops->Takes(qkv, form, mask, plan) ? *ops : DenseAttentionOps();
}

void RegisterAttentionOps(c10::DeviceType device, const AttentionOps& ops) {
  Registered()[static_cast<size_t>(device)].store(&ops);
}

at::Tensor PackedAttention(const at::Tensor& qkv, const AttentionForm& form, const DropoutRate& dropout, int64_t layer,
                           const SequencePlanPtr& plan) {
  if (!at::GradMode::is_enabled()) {
    AttentionForm without = form;
    without.backward = false;
    const at::Tensor rows = qkv.contiguous();
    const AttentionMask mask{dropout, layer};
    return AttentionOpsFor(rows, without, mask, *plan).Forward(rows, without, mask, *plan).out;
  }
  const auto bias = form.distance_bias.defined() ? std::optional(form.distance_bias) : std::nullopt;
  return AttentionFunction::apply(qkv.contiguous(), bias, form, AttentionMask{dropout, layer}, plan);
}

}  // namespace muster
