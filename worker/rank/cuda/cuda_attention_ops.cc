#include "worker/rank/cuda/cuda_attention_ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "worker/rank/cuda/attention_kernels.h"
#include "worker/rank/cuda/device_scope.h"
#include "worker/rank/cuda/rows_of.h"
#include "worker/rank/model/attention_layout.h"

namespace muster {
namespace {

void FillJob(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask, const SequencePlan& plan,
             cuda::AttentionJob& job) {
  const AttentionLayout layout(qkv, form);
  TORCH_CHECK(qkv.device().type() == kKernelDevice && qkv.is_contiguous() && qkv.size(0) == plan.rows &&
                  reinterpret_cast<uintptr_t>(qkv.const_data_ptr()) % 16 == 0,
              "attention: qkv must be dense, of the plan's rows, and aligned to 16 bytes");
  TORCH_CHECK(plan.device_first_rows.defined() && plan.device_first_rows.device() == qkv.device(),
              "attention: the plan is on another device");
  job.rows = plan.rows;
  job.longest = plan.longest;
  job.heads = layout.heads;
  job.key_value_heads = layout.key_value_heads;
  job.head_size = layout.d;
  job.causal = form.causal;
  job.window = form.window;
  job.mask = MaskOf(mask.rate, {mask.layer, DropoutSite::kProbabilities}, plan, qkv);
  job.mask.first_rows = plan.device_first_rows.const_data_ptr<int64_t>();  // needed even without dropout
  job.mask.sequences = static_cast<int64_t>(plan.lengths.size());
  job.qkv = DataOf(qkv);
}

class Ops final : public AttentionOps {
 public:
  bool Takes(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask&,
             const SequencePlan& plan) const override {
    const AttentionLayout layout(qkv, form);
    return qkv.device().type() == kKernelDevice && qkv.scalar_type() == at::kBFloat16 &&
           !form.distance_bias.defined() && cuda::HasAttentionKernel(layout.d) &&
           layout.heads <= cuda::kMostAttentionHeads &&
           static_cast<int64_t>(plan.lengths.size()) <= cuda::kMostAttentionSequences;
  }

  AttentionResult Forward(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                          const SequencePlan& plan) const override {
    cuda::AttentionJob job;
    FillJob(qkv, form, mask, plan, job);
    const DeviceScope scope(qkv.device());
    AttentionResult result{.out = at::empty({job.rows, job.heads * job.head_size}, qkv.options()),
                           .lse = at::empty({job.heads, job.rows}, qkv.options().dtype(at::kFloat))};
    job.out = MutableDataOf(result.out);
    job.lse = result.lse.mutable_data_ptr<float>();
    CheckCuda(cuda::AttentionForward(job, scope.stream()), "attention");
    return result;
  }

  AttentionGradients Backward(const at::Tensor& d_out, const at::Tensor& qkv, const AttentionResult& result,
                              const AttentionForm& form, const AttentionMask& mask,
                              const SequencePlan& plan) const override {
    cuda::AttentionBackwardJob job;
    FillJob(qkv, form, mask, plan, job);
    const DeviceScope scope(qkv.device());
    AttentionGradients gradients{.qkv = at::empty_like(qkv)};
    const at::Tensor delta = at::empty_like(result.lse);
    TORCH_CHECK(d_out.is_contiguous() && d_out.sizes() == result.out.sizes() && d_out.scalar_type() == at::kBFloat16 &&
                    reinterpret_cast<uintptr_t>(d_out.const_data_ptr()) % 16 == 0,
                "attention: the gradient must be dense, like the output, and aligned to 16 bytes");
    job.out = MutableDataOf(result.out);
    job.lse = result.lse.mutable_data_ptr<float>();
    job.delta = delta.mutable_data_ptr<float>();
    job.d_out = DataOf(d_out);
    job.d_qkv = MutableDataOf(gradients.qkv);
    CheckCuda(cuda::AttentionBackward(job, scope.stream()), "the gradient of attention");
    return gradients;
  }
};

}  // namespace

const AttentionOps& CudaAttentionOps() {
  static const Ops ops;
  return ops;
}

}  // namespace muster
