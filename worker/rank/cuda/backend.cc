#include "worker/rank/cuda/backend.h"

#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"
#include "common/exception_status.h"
#include "worker/rank/collective/nccl_group.h"
#include "worker/rank/cuda/cuda_attention_ops.h"
#include "worker/rank/cuda/cuda_dropout_ops.h"
#include "worker/rank/cuda/cuda_encoder_ops.h"
#include "worker/rank/cuda/cuda_tile_ops.h"

namespace muster {
namespace {

class Backend final : public CudaBackend {
 public:
  const TileOps& tile_ops() override { return CudaTileOps(); }
  const DropoutOps& dropout_ops() override { return CudaDropoutOps(); }
  const EncoderOps& encoder_ops() override { return CudaEncoderOps(); }
  const AttentionOps& attention_ops() override { return CudaAttentionOps(); }

  absl::StatusOr<std::unique_ptr<Group>> JoinNccl(const JoinOptions& options, at::Device device) override {
    return MakeNcclGroup(options, device);
  }

  absl::StatusOr<int> CountDevices() override {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
      return absl::FailedPreconditionError(absl::StrCat("CUDA finds no GPU: ", cudaGetErrorString(error)));
    }
    if (count == 0) return absl::FailedPreconditionError("CUDA finds no GPU");
    return count;
  }

  absl::Status SetDevice(at::Device device) override try {
    c10::cuda::set_device(device.index());
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return StatusFromException(absl::StatusCode::kFailedPrecondition, absl::StrCat("GPU ", device.index()), error);
  }
};

}  // namespace
}  // namespace muster

extern "C" __attribute__((visibility("default"))) muster::CudaBackend* MusterCudaBackend() {
  static muster::Backend backend;
  return &backend;
}
