// Shared by kernels over rows: packets of eight elements, sums over a block in a fixed order, and dropout's masks.
// Only .cu files include it.
#pragma once

#include <cstdint>

#include "common/random.h"
#include "worker/rank/cuda/device.h"
#include "worker/rank/cuda/row_types.h"

namespace muster::cuda {

constexpr int kPacket = 8;  // elements per thread: one Philox block holds eight decisions
constexpr int kMostWarps = 16;

// The type in which elements of type E are computed, and the type of their parameters and statistics.
template <typename E>
struct Parameter {
  using Type = float;
};
template <>
struct Parameter<double> {
  using Type = double;
};
template <typename E>
using ParameterOf = typename Parameter<E>::Type;

template <typename T>
struct alignas(16) Packed {
  T values[kPacket];
};

// Elements of a packet that begins at `column`, those that are within the width.
__device__ __forceinline__ int CountOf(int64_t width, int64_t column) {
  const int64_t left = width - column;
  return left >= kPacket ? kPacket : left > 0 ? static_cast<int>(left) : 0;
}

// values[i] = from[i] for i < count, 0 beyond. One load where the memory is aligned.
template <typename E, typename A>
__device__ __forceinline__ void LoadPacket(const E* from, int count, A (&values)[kPacket]) {
  if (count == kPacket && reinterpret_cast<uintptr_t>(from) % alignof(Packed<E>) == 0) {
    const Packed<E> packed = *reinterpret_cast<const Packed<E>*>(from);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) values[i] = static_cast<A>(packed.values[i]);
  } else {
#pragma unroll
    for (int i = 0; i < kPacket; ++i) values[i] = i < count ? static_cast<A>(from[i]) : A{0};
  }
}

// The same, 0 where `from` is null.
template <typename E, typename A>
__device__ __forceinline__ void LoadOptional(const E* from, int64_t offset, int count, A (&values)[kPacket]) {
  if (from != nullptr) {
    LoadPacket(from + offset, count, values);
  } else {
#pragma unroll
    for (int i = 0; i < kPacket; ++i) values[i] = A{0};
  }
}

// Rounds each value to E, stores the first `count`, and writes the rounded values back to `values`.
template <typename E, typename A>
__device__ __forceinline__ void StorePacket(A (&values)[kPacket], int count, E* to) {
  Packed<E> packed;
#pragma unroll
  for (int i = 0; i < kPacket; ++i) {
    packed.values[i] = static_cast<E>(values[i]);
    values[i] = static_cast<A>(packed.values[i]);
  }
  if (count == kPacket && reinterpret_cast<uintptr_t>(to) % alignof(Packed<E>) == 0) {
    *reinterpret_cast<Packed<E>*>(to) = packed;
  } else {
#pragma unroll
    for (int i = 0; i < kPacket; ++i) {
      if (i < count) to[i] = packed.values[i];
    }
  }
}

// Sums of N values over all threads of the block, in an order that depends on the block's size alone; every thread gets
// them. All threads call it; at most 512.
template <int N, typename A>
__device__ __forceinline__ void BlockSum(A (&values)[N]) {
  MUSTER_SHARED(A, of_warps, N * kMostWarps);
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
#pragma unroll
    for (int n = 0; n < N; ++n) values[n] += __shfl_xor_sync(0xffffffff, values[n], distance);
  }
  const int warps = static_cast<int>(blockDim.x / 32);
  if (warps == 1) return;
  __syncthreads();  // threads may still be reading of_warps
  if (threadIdx.x % 32 == 0) {
#pragma unroll
    for (int n = 0; n < N; ++n) of_warps[threadIdx.x / 32 * N + n] = values[n];
  }
  __syncthreads();
#pragma unroll
  for (int n = 0; n < N; ++n) {
    values[n] = of_warps[n];
    for (int warp = 1; warp < warps; ++warp) values[n] += of_warps[warp * N + n];
  }
}

// The masks of rows that one thread visits in ascending order.
class RowMasks {
 public:
  __device__ explicit RowMasks(const RowsMask& mask) : mask_(mask) {}

  // x[i] *= 0 or scale, for eight elements from `column` on of row `row` of `width`.
  template <typename A>
  __device__ __forceinline__ void Apply(int64_t row, int64_t width, int64_t column, A (&x)[kPacket]) {
    if (mask_.threshold == 0) return;
    if (row >= end_) Seek(row);
    const uint64_t first = static_cast<uint64_t>((row - begin_) * width + column);
    uint32_t decisions[2 * kPacket];
    Draw(first / kPacket, decisions);
    if (const int skipped = static_cast<int>(first % kPacket); skipped != 0) {
      Draw(first / kPacket + 1, decisions + kPacket);
      ShiftDown<4>(skipped, decisions);
      ShiftDown<2>(skipped, decisions);
      ShiftDown<1>(skipped, decisions);
    }
    const A scale = static_cast<A>(mask_.scale);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) x[i] *= decisions[i] < mask_.threshold ? A{0} : scale;
  }

 private:
  // Eight decisions.
  __device__ __forceinline__ void Draw(uint64_t block, uint32_t* decisions) const {
    const auto words = Philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0}, key_);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) decisions[i] = words[i / 2] >> (i % 2 * 16) & 0xffff;
  }

  // Shifts by `distance` where that bit is set. Indexing with a run-time value would move the array from registers to memory.
  template <int distance>
  static __device__ __forceinline__ void ShiftDown(int skipped, uint32_t (&decisions)[2 * kPacket]) {
#pragma unroll
    for (int i = 0; i + distance < 2 * kPacket; ++i) {
      decisions[i] = (skipped & distance) != 0 ? decisions[i + distance] : decisions[i];
    }
  }

  __device__ void Seek(int64_t row) {
    int64_t low = 0, high = mask_.sequences;  // first_rows[low] <= row < first_rows[high]
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      (mask_.first_rows[middle] <= row ? low : high) = middle;
    }
    begin_ = mask_.first_rows[low];
    end_ = mask_.first_rows[low + 1];
    key_ = MixKey(MixKey(static_cast<uint64_t>(mask_.keys[low]), mask_.layer), mask_.site);
  }

  const RowsMask& mask_;
  int64_t begin_ = 0, end_ = 0;
  uint64_t key_ = 0;
};

// Threads of a block that covers a row of `width` with a packet each.
inline unsigned ThreadsFor(int64_t width) {
  return static_cast<unsigned>((width + kPacket * 32 - 1) / (kPacket * 32) * 32);
}

}  // namespace muster::cuda
