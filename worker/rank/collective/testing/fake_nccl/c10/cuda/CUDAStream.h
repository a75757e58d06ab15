// For tests: see fake_nccl/nccl.h.
#pragma once

#include <c10/core/Device.h>

namespace c10::cuda {

// The caller uses stream 0, the group stream 1.
struct CUDAStream {
  int number = 0;
  int stream() const { return number; }
};
inline CUDAStream getCurrentCUDAStream(c10::DeviceIndex) { return {}; }
inline CUDAStream getStreamFromPool(bool, c10::DeviceIndex) { return {1}; }

}  // namespace c10::cuda
