// Where the operations of this folder launch their kernels: on the current CUDA stream of a tensor's device, or in tests
// on the host, where tensors lie on the CPU (testing/host_cuda.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/rank/cuda/check.h"

#ifdef MUSTER_HOST_CUDA

namespace muster {

constexpr c10::DeviceType kKernelDevice = c10::DeviceType::CPU;

class DeviceScope {
 public:
  explicit DeviceScope(at::Device) {}
  void* stream() const { return nullptr; }
};

}  // namespace muster

#else

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace muster {

constexpr c10::DeviceType kKernelDevice = c10::DeviceType::CUDA;

// Makes the device current for its lifetime.
class DeviceScope {
 public:
  explicit DeviceScope(at::Device device) : guard_(device) {}
  void* stream() const { return c10::cuda::getCurrentCUDAStream().stream(); }

 private:
  const c10::cuda::CUDAGuard guard_;
};

}  // namespace muster

#endif
