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

class Ops final : public DropoutOps {
 public:
  void MaskProbabilities(const at::Tensor& p, const Run& run, const DropoutRate& rate, int64_t layer,
                         const SequencePlan& plan, at::Tensor& out) const override {
    TORCH_CHECK(p.device().type() == kKernelDevice && p.is_contiguous() && IsLike(out, p),
                "dropout on CUDA: p and out must be dense tensors of one type, size and device");
    TORCH_CHECK(plan.device_keys.defined() && plan.device_keys.device() == p.device(),
                "dropout on CUDA: the plan's keys are on another device");
    TORCH_CHECK(p.numel() % run.count == 0 && run.first_sequence + run.count <= plan.device_keys.numel(),
                "dropout on CUDA: the probabilities are not those of the run");
    const DeviceScope scope(p.device());
    CheckCuda(cuda::ApplyMask({.element = ElementOf(p, "dropout"),
                               .x = p.const_data_ptr(),
                               .out = out.mutable_data_ptr(),
                               .keys = plan.device_keys.const_data_ptr<int64_t>() + run.first_sequence,
                               .sequences = run.count,
                               .width = p.numel() / run.count,
                               .layer = static_cast<uint64_t>(layer),
                               .site = static_cast<uint64_t>(DropoutSite::kProbabilities),
                               .threshold = rate.threshold,
                               .scale = rate.scale},
                              scope.stream()),
              "dropout");
  }
};

}  // namespace

const DropoutOps& CudaDropoutOps() {
  static const Ops ops;
  return ops;
}

}  // namespace muster
