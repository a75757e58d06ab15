// The part of CUDA that the project's kernels use, on the host: a .cu that includes worker/rank/cuda/device.h compiles
// with g++ where MUSTER_HOST_CUDA is defined, and Launch() runs it on host_grid.h. There are no atomics on floating
// point numbers: their sums would depend on the order of threads.
#pragma once

#include <math.h>  // exp, erf, ... in the global namespace, as in device code

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "worker/rank/cuda/testing/host_grid.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define MUSTER_SHARED(T, name, count)                                                                    \
  auto& name = *static_cast<T(*)[count]>(::muster::host_cuda::Grid::Instance().Shared(sizeof(T[count]), \
                                                                                      std::source_location::current()))
#define MUSTER_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::muster::host_cuda::Grid::Instance().DynamicShared())

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
using cudaStream_t = struct HostStream*;
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  std::memset(to, value, bytes);
  return cudaSuccess;
}

struct dim3 {
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  unsigned x, y, z;
};

#define threadIdx (::muster::host_cuda::Grid::Instance().thread_index)
#define blockIdx (::muster::host_cuda::Grid::Instance().block_index)
#define blockDim (::muster::host_cuda::Grid::Instance().block_extent())
#define gridDim (::muster::host_cuda::Grid::Instance().grid_extent())

// Rounds to nearest, ties to even, like the function of cuda_bf16.h.
struct __nv_bfloat16 {
  __nv_bfloat16() = default;
  __nv_bfloat16(float value) {
    uint32_t word;
    std::memcpy(&word, &value, sizeof(word));
    bits = value != value ? 0x7fff : static_cast<uint16_t>((word + 0x7fff + (word >> 16 & 1)) >> 16);
  }
  operator float() const {
    const uint32_t word = uint32_t{bits} << 16;
    float value;
    std::memcpy(&value, &word, sizeof(value));
    return value;
  }
  uint16_t bits;
};

inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }

template <typename T>
T __ldg(const T* from) {
  return *from;
}

using muster_where = std::source_location;
inline void __syncthreads(muster_where where = muster_where::current()) {
  muster::host_cuda::Grid::Instance().Barrier(where);
}
inline void __syncwarp(unsigned mask = 0xffffffff, muster_where where = muster_where::current()) {
  muster::host_cuda::Grid::Instance().Exchange(mask, char{0}, where);
}

// Like CUDA's function: lanes of `width` neighbors form a group; a lane outside it gives the caller's own value.
template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, muster_where where = muster_where::current()) {
  auto& grid = muster::host_cuda::Grid::Instance();
  grid.Exchange(mask, value, where);
  return grid.Shown<T>(mask, grid.lane() / width * width + lane % width, where);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, muster_where where = muster_where::current()) {
  auto& grid = muster::host_cuda::Grid::Instance();
  grid.Exchange(mask, value, where);
  const int from = grid.lane() ^ bits;
  return from / width > grid.lane() / width ? value : grid.Shown<T>(mask, from, where);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, int distance, int width = 32,
                   muster_where where = muster_where::current()) {
  auto& grid = muster::host_cuda::Grid::Instance();
  grid.Exchange(mask, value, where);
  const int from = grid.lane() + distance;
  return from / width != grid.lane() / width ? value : grid.Shown<T>(mask, from, where);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, int distance, int width = 32, muster_where where = muster_where::current()) {
  auto& grid = muster::host_cuda::Grid::Instance();
  grid.Exchange(mask, value, where);
  const int from = grid.lane() - distance;
  return from < grid.lane() / width * width ? value : grid.Shown<T>(mask, from, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, muster_where where = muster_where::current()) {
  auto& grid = muster::host_cuda::Grid::Instance();
  grid.Exchange(mask, predicate, where);
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) != 0 && grid.Shown<int>(mask, lane, where) != 0) votes |= 1u << lane;
  }
  return votes;
}

inline int atomicAdd(int* to, int value) { return std::exchange(*to, *to + value); }
inline unsigned atomicAdd(unsigned* to, unsigned value) { return std::exchange(*to, *to + value); }
inline unsigned long long atomicAdd(unsigned long long* to, unsigned long long value) {
  return std::exchange(*to, *to + value);
}

namespace muster::cuda {

template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t /*stream*/,
                   Arguments... arguments) {
  host_cuda::Grid::Instance().Run({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes,
                                  [&] { kernel(static_cast<Parameters>(arguments)...); });
  return cudaSuccess;
}

// Computes what mma.sync.m16n8k16 of bfloat16 computes from a warp's fragments: d += a b. The layout is that of the PTX
// manual, "Matrix fragments for mma.m16n8k16 with floating point type". Sums are in float64, rounded once.
inline void MmaM16N8K16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                        muster_where where = muster_where::current()) {
  struct Fragments {
    uint32_t a[4], b[2];
  };
  constexpr unsigned kAll = 0xffffffff;
  auto& grid = host_cuda::Grid::Instance();
  grid.Exchange(kAll, Fragments{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, where);
  const auto half = [](uint32_t pair, int k) {
    const uint32_t word = k % 2 == 0 ? pair << 16 : pair & 0xffff0000;
    float value;
    std::memcpy(&value, &word, sizeof(value));
    return static_cast<double>(value);
  };
  const auto at_a = [&](int row, int k) {
    const auto from = grid.Shown<Fragments>(kAll, row % 8 * 4 + k % 8 / 2, where);
    return half(from.a[row / 8 + k / 8 * 2], k);
  };
  const auto at_b = [&](int k, int column) {
    const auto from = grid.Shown<Fragments>(kAll, column * 4 + k % 8 / 2, where);
    return half(from.b[k / 8], k);
  };
  for (int i = 0; i < 4; ++i) {
    const int row = grid.lane() / 4 + i / 2 * 8, column = grid.lane() % 4 * 2 + i % 2;
    double sum = d[i];
    for (int k = 0; k < 16; ++k) sum += at_a(row, k) * at_b(k, column);
    d[i] = static_cast<float>(sum);
  }
}

}  // namespace muster::cuda
