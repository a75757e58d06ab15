// This folder's operations launch their kernels on the current CUDA stream of a tensor's device, or in tests on the
// host, with tensors on the CPU (testing/host_cuda.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/rank/cuda/check.h"

namespace muster {

struct DeviceSize {
  int multiprocessors = 0;
  int64_t memory_bytes = 0;
};

}  // namespace muster

#ifdef MUSTER_HOST_CUDA

namespace muster {

inline DeviceSize SizeOfCurrentDevice() { return {.multiprocessors = 132, .memory_bytes = int64_t{80} << 30}; }

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
#include <cuda_runtime.h>

namespace muster {

inline DeviceSize SizeOfCurrentDevice() {
  int device = 0, multiprocessors = 0;
  size_t free_bytes = 0, total_bytes = 0;
  CheckCuda(cudaGetDevice(&device), "the current device");
  CheckCuda(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device), "its multiprocessors");
  CheckCuda(cudaMemGetInfo(&free_bytes, &total_bytes), "its memory");
  return {.multiprocessors = multiprocessors, .memory_bytes = static_cast<int64_t>(total_bytes)};
}

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
