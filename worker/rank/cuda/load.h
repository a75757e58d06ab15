// Opens the CUDA side of a rank: muster-rank itself links only the CPU libraries.
#pragma once

#include <filesystem>

#include "absl/status/statusor.h"
#include "worker/rank/cuda/backend.h"

namespace muster {

// Opens libtorch_cuda.so next to the loaded libtorch_cpu.so, then libmuster_cuda.so of `folder` (empty: the running
// program's), registers the operations of backend.h for CUDA, and makes CUDA deterministic: deterministic algorithms,
// float32 products in float32, CUBLAS_WORKSPACE_CONFIG. Must run before the process's first other use of torch's CUDA
// hooks and before its first backward, since autograd counts devices then. A second call gives the same answer.
// FAILED_PRECONDITION if GPUs cannot be used here: one line that names the library, or quotes CUDA's error.
absl::StatusOr<CudaBackend*> LoadCuda(const std::filesystem::path& folder = {});

}  // namespace muster
