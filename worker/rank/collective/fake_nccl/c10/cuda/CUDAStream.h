// For tests: see fake_nccl/nccl.h.
#pragma once

#include <c10/core/Device.h>

namespace c10::cuda {

struct CUDAStream {
  int stream() const { return 0; }
};
inline CUDAStream getCurrentCUDAStream(c10::DeviceIndex) { return {}; }

}  // namespace c10::cuda
