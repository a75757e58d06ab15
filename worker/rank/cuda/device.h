// The language of the .cu files: CUDA, or in tests on the host its double (testing/host_cuda.h).
#pragma once

#ifdef MUSTER_HOST_CUDA

#include "worker/rank/cuda/testing/host_cuda.h"

#else

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

// An array of the block. Its contents are undefined when the block begins.
#define MUSTER_SHARED(T, name, count) __shared__ alignas(16) T name[count]
// The block's dynamic shared memory, whose size the launch names.
#define MUSTER_DYNAMIC_SHARED(T, name)                           \
  extern __shared__ __align__(16) unsigned char muster_dynamic[]; \
  T* name = reinterpret_cast<T*>(muster_dynamic)

namespace muster::cuda {

template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   Arguments... arguments) {
  constexpr size_t kWithoutAsking = 48 << 10;
  if (shared_bytes > kWithoutAsking) {
    const cudaError_t error =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes));
    if (error != cudaSuccess) return error;
  }
  kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
  return cudaGetLastError();
}

// d += a b of a warp: 16 x 16 and 16 x 8 bfloat16, 16 x 8 float32, in the fragments of mma.sync.m16n8k16.
__device__ inline void MmaM16N8K16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace muster::cuda

#endif
