#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "common/random.h"
#include "worker/rank/cuda/dropout_kernels.h"

namespace muster::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kDecisions = 8;  // of one Philox block
constexpr int64_t kMostChunks = 65535;  // a grid's second dimension

template <typename T>
struct Arithmetic {
  using Type = T;
};
template <>
struct Arithmetic<__nv_bfloat16> {
  using Type = float;
};

template <typename To, typename From>
__device__ To Convert(From value) {
  return static_cast<To>(value);
}

// Of one thread: the elements that share a Philox block, moved together where they lie aligned.
template <typename T>
struct alignas(16) Packet {
  T values[kDecisions];
};

template <typename T>
__device__ bool IsAligned(const T* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % alignof(Packet<T>) == 0;
}

template <typename T>
__device__ void Load(const T* from, int64_t count, T (&values)[kDecisions]) {
  if (count == kDecisions && IsAligned(from)) {
    const Packet<T> packet = *reinterpret_cast<const Packet<T>*>(from);
#pragma unroll
    for (int i = 0; i < kDecisions; ++i) values[i] = packet.values[i];
  } else {
#pragma unroll
    for (int i = 0; i < kDecisions; ++i) {
      if (i < count) values[i] = from[i];
    }
  }
}

template <typename T>
__device__ void Store(const T (&values)[kDecisions], int64_t count, T* to) {
  if (count == kDecisions && IsAligned(to)) {
    Packet<T> packet;
#pragma unroll
    for (int i = 0; i < kDecisions; ++i) packet.values[i] = values[i];
    *reinterpret_cast<Packet<T>*>(to) = packet;
  } else {
#pragma unroll
    for (int i = 0; i < kDecisions; ++i) {
      if (i < count) to[i] = values[i];
    }
  }
}

// blockIdx.x: the sequence; blockIdx.y: a stretch of its Philox blocks.
template <typename T>
__global__ void ApplyMaskKernel(const MaskJob job) {
  using A = typename Arithmetic<T>::Type;
  const int64_t sequence = blockIdx.x;
  const int64_t begin = (job.first_rows != nullptr ? job.first_rows[sequence] : sequence) * job.width;
  const int64_t end = (job.first_rows != nullptr ? job.first_rows[sequence + 1] : sequence + 1) * job.width;
  const uint64_t key = MixKey(MixKey(static_cast<uint64_t>(job.keys[sequence]), job.layer), job.site);
  const T* x = static_cast<const T*>(job.x) + begin;
  const T* residual = job.residual != nullptr ? static_cast<const T*>(job.residual) + begin : nullptr;
  T* out = static_cast<T*>(job.out) + begin;
  const int64_t size = end - begin, blocks = (size + kDecisions - 1) / kDecisions;
  const A scale = static_cast<A>(job.scale);
  for (int64_t block = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x; block < blocks;
       block += static_cast<int64_t>(gridDim.y) * kThreads) {
    const int64_t first = block * kDecisions, count = size - first < kDecisions ? size - first : kDecisions;
    const auto words = Philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0}, key);
    T values[kDecisions] = {}, base[kDecisions] = {};
    Load(x + first, count, values);
    if (residual != nullptr) Load(residual + first, count, base);
#pragma unroll
    for (int i = 0; i < kDecisions; ++i) {
      const uint32_t decision = words[i / 2] >> (i % 2 * 16) & 0xffff;
      const A kept = Convert<A>(values[i]) * (decision < job.threshold ? A{0} : scale);
      values[i] = Convert<T>(residual != nullptr ? Convert<A>(base[i]) + kept : kept);
    }
    Store(values, count, out + first);
  }
}

template <typename T>
cudaError_t Launch(const MaskJob& job, cudaStream_t stream) {
  const int64_t blocks = (job.longest + kDecisions - 1) / kDecisions;
  const int64_t chunks = (blocks + kThreads - 1) / kThreads;
  const dim3 grid(static_cast<unsigned>(job.sequences),
                  static_cast<unsigned>(chunks < kMostChunks ? chunks : kMostChunks));
  ApplyMaskKernel<T><<<grid, kThreads, 0, stream>>>(job);
  return cudaGetLastError();
}

}  // namespace

int ApplyMask(const MaskJob& job, void* stream) {
  if (job.sequences == 0 || job.longest == 0) return cudaSuccess;
  const auto on = static_cast<cudaStream_t>(stream);
  switch (job.element) {
    case Element::kFloat:
      return Launch<float>(job, on);
    case Element::kDouble:
      return Launch<double>(job, on);
    case Element::kBfloat16:
      return Launch<__nv_bfloat16>(job, on);
  }
  return cudaErrorInvalidValue;
}

}  // namespace muster::cuda
