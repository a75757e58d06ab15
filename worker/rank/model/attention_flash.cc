// torch's variable-length flash attention on a GPU: the whole batch at once. Its backward is deterministic if
// at::globalContext() asks for that, which LoadCuda() sets.
#include <ATen/Context.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/cat.h>

#include <mutex>
#include <optional>
#include <tuple>

#include "worker/rank/model/attention_layout.h"
#include "worker/rank/model/attention_ops.h"

namespace muster {
namespace {

// Queries, keys or values as [T, their heads, d]; no copy.
at::Tensor Part(const at::Tensor& qkv, const AttentionLayout& layout, int64_t column) {
  const int64_t heads = column == 0 ? layout.heads : layout.key_value_heads;
  return qkv.narrow(1, column, heads * layout.d).view({qkv.size(0), heads, layout.d});
}

// The window's size on both sides; a causal kernel ignores the right one.
std::optional<int64_t> WindowOf(const AttentionForm& form) {
  return form.window > 0 ? std::optional(form.window) : std::nullopt;
}

// The dropout probability for torch's kernel, which scales by (1 - probability).
double ProbabilityOf(const AttentionMask& mask) { return mask.rate.threshold / 65536.0; }

class Flash final : public AttentionOps {
 public:
  bool Takes(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
             const SequencePlan& plan) const override {
    const int64_t d = AttentionLayout(qkv, form).d;
    return qkv.is_cuda() && qkv.scalar_type() == at::kBFloat16 && d % 8 == 0 && d <= 256 &&
           !form.distance_bias.defined() &&
           (!mask.rate.active() || plan.attention_keys == AttentionKeys::kLaunch);
  }

  AttentionResult Forward(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                          const SequencePlan& plan) const override {
    const AttentionLayout layout(qkv, form);
    const at::Tensor& ends = plan.device_first_rows_int32;
    const std::optional<int64_t> window = WindowOf(form);
    if (mask.rate.active()) SeedGenerator(qkv.device(), mask, plan);
    const auto [out, lse, random_state, unused, debug_mask] = at::_flash_attention_forward(
        Part(qkv, layout, 0), Part(qkv, layout, layout.keys()), Part(qkv, layout, layout.values()), ends, ends,
        plan.longest, plan.longest, ProbabilityOf(mask), form.causal, /*return_debug_mask=*/false,
        /*scale=*/std::nullopt, window, window);
    return {.out = out.reshape({qkv.size(0), layout.out_width()}), .lse = lse, .random = random_state};
  }

  AttentionGradients Backward(const at::Tensor& d_out, const at::Tensor& qkv, const AttentionResult& result,
                              const AttentionForm& form, const AttentionMask& mask,
                              const SequencePlan& plan) const override {
    const AttentionLayout layout(qkv, form);
    const at::Tensor& ends = plan.device_first_rows_int32;
    const std::vector<int64_t> shape = {qkv.size(0), layout.heads, layout.d};
    const std::optional<int64_t> window = WindowOf(form);
    const auto [d_q, d_k, d_v] = at::_flash_attention_backward(
        d_out.view(shape), Part(qkv, layout, 0), Part(qkv, layout, layout.keys()), Part(qkv, layout, layout.values()),
        result.out.view(shape), result.lse, ends, ends, plan.longest, plan.longest, ProbabilityOf(mask), form.causal,
        result.random, /*unused=*/result.random, /*scale=*/std::nullopt, window, window);
    return {.qkv = at::cat({d_q, d_k, d_v}, 1).view(qkv.sizes())};
  }

 private:
  // The kernel draws from the device's generator. The key of a micro-batch's first sequence, which holds seed, step and slot,
  // identifies the micro-batch: no other one of the step begins with it, and a replay draws the same masks.
  static void SeedGenerator(at::Device device, const AttentionMask& mask, const SequencePlan& plan) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard lock(generator.mutex());
    generator.set_current_seed(DropoutKey(plan.keys.front(), {mask.layer, DropoutSite::kProbabilities}));
  }
};

}  // namespace

const AttentionOps& TorchFlashAttentionOps() {
  static const Flash ops;
  return ops;
}

}  // namespace muster
