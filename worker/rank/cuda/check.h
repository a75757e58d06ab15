// Turns a failed kernel launch into torch's exception.
#pragma once

#include <c10/util/Exception.h>

#ifndef MUSTER_HOST_CUDA
#include <cuda_runtime_api.h>
#endif

namespace muster {

// `error`: a cudaError_t. Throws c10::Error "WHAT: cuda: ..." for any but cudaSuccess.
inline void CheckCuda(int error, const char* what) {
#ifdef MUSTER_HOST_CUDA
  TORCH_CHECK(error == 0, what, ": cuda: error ", error);
#else
  TORCH_CHECK(error == cudaSuccess, what, ": cuda: ", cudaGetErrorString(static_cast<cudaError_t>(error)));
#endif
}

}  // namespace muster
