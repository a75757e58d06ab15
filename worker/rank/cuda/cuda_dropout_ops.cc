#include "worker/rank/cuda/cuda_dropout_ops.h"

#include "worker/rank/cuda/device_scope.h"
#include "worker/rank/cuda/dropout_kernels.h"
#include "worker/rank/cuda/rows_of.h"

namespace muster {
namespace {

bool IsLike(const at::Tensor& tensor, const at::Tensor& x) {
  return tensor.device() == x.device() && tensor.scalar_type() == x.scalar_type() && tensor.is_contiguous() &&
         tensor.numel() == x.numel();
}

// The values that both sites share; the caller fills in sequences, width and longest.
cuda::MaskJob JobFor(const at::Tensor& x, const at::Tensor& residual, const DropoutRate& rate,
                     const DropoutPlace& place, const SequencePlan& plan, at::Tensor& out) {
  TORCH_CHECK(x.device().type() == kKernelDevice && x.is_contiguous() && IsLike(out, x) && (!residual.defined() || IsLike(residual, x)),
              "dropout on CUDA: x, residual and out must be dense tensors of one type, size and device");
  TORCH_CHECK(plan.device_keys.defined() && plan.device_keys.device() == x.device(),
              "dropout on CUDA: the plan's keys are on another device");
  return {.element = ElementOf(x, "dropout"),
          .x = x.const_data_ptr(),
          .residual = residual.defined() ? residual.const_data_ptr() : nullptr,
          .out = out.mutable_data_ptr(),
          .keys = plan.device_keys.const_data_ptr<int64_t>(),
          .layer = static_cast<uint64_t>(place.layer),
          .site = static_cast<uint64_t>(place.site),
          .threshold = rate.threshold,
          .scale = rate.scale};
}

void Launch(const cuda::MaskJob& job, at::Device device) {
  const DeviceScope scope(device);
  CheckCuda(cuda::ApplyMask(job, scope.stream()), "dropout");
}

class Ops final : public DropoutOps {
 public:
  void MaskRows(const at::Tensor& x, const at::Tensor& residual, const DropoutRate& rate, const DropoutPlace& place,
                const SequencePlan& plan, at::Tensor& out) const override {
    cuda::MaskJob job = JobFor(x, residual, rate, place, plan, out);
    TORCH_CHECK(x.dim() == 2 && x.size(0) == plan.rows, "dropout on CUDA: x has not the plan's rows");
    job.first_rows = plan.device_first_rows.const_data_ptr<int64_t>();
    job.sequences = static_cast<int64_t>(plan.lengths.size());
    job.width = x.size(1);
    job.longest = plan.longest * job.width;
    Launch(job, x.device());
  }

  void MaskProbabilities(const at::Tensor& p, const Run& run, const DropoutRate& rate, int64_t layer,
                         const SequencePlan& plan, at::Tensor& out) const override {
    cuda::MaskJob job = JobFor(p, {}, rate, {layer, DropoutSite::kProbabilities}, plan, out);
    TORCH_CHECK(p.numel() % run.count == 0 && run.first_sequence + run.count <= plan.device_keys.numel(),
                "dropout on CUDA: the probabilities are not those of the run");
    job.keys += run.first_sequence;
    job.sequences = run.count;
    job.width = job.longest = p.numel() / run.count;
    Launch(job, p.device());
  }
};

}  // namespace

const DropoutOps& CudaDropoutOps() {
  static const Ops ops;
  return ops;
}

}  // namespace muster
