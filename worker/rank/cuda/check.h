// A kernel's launch that failed, as torch's exception.
#pragma once

#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

namespace muster {

// `error`: a cudaError_t. Throws c10::Error "WHAT: cuda: ..." for any but cudaSuccess.
inline void CheckCuda(int error, const char* what) {
  TORCH_CHECK(error == cudaSuccess, what, ": cuda: ", cudaGetErrorString(static_cast<cudaError_t>(error)));
}

}  // namespace muster
