// The interface of libmuster_cuda.so. It must come from the same build as the program that opens it.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/collective/join.h"
#include "worker/rank/loss/tile_ops.h"
#include "worker/rank/model/attention_ops.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/encoder_ops.h"

namespace muster {

class CudaBackend {
 public:
  virtual ~CudaBackend() = default;
  virtual const TileOps& tile_ops() = 0;
  virtual const DropoutOps& dropout_ops() = 0;
  virtual const EncoderOps& encoder_ops() = 0;
  virtual const AttentionOps& attention_ops() = 0;
  virtual absl::StatusOr<std::unique_ptr<Group>> JoinNccl(const JoinOptions& options, at::Device device) = 0;
  // The number of GPUs that this process may use. FAILED_PRECONDITION with CUDA's message if there is none.
  virtual absl::StatusOr<int> CountDevices() = 0;
  // Sets the calling thread's device. Autograd's own threads use the devices of their tensors.
  virtual absl::Status SetDevice(at::Device device) = 0;
};

}  // namespace muster

extern "C" muster::CudaBackend* MusterCudaBackend();  // exported by the plug-in
