// The parts of the attention kernels: tiles in shared memory, their fragments for tensor cores, and dropout's
// decisions for a tile. Only attention_kernels.cu includes it.
#pragma once

#include <cstdint>

#include "worker/rank/cuda/attention_kernels.h"
#include "worker/rank/cuda/device_rows.h"

namespace muster::cuda {

constexpr int kTile = 64;         // keys, and queries of a block
constexpr int kTileThreads = 128;  // four warps, each with 16 rows
constexpr int kKeepBytes = 16;    // per query of a tile: 64 decisions, and as many more as precede the first one in its block

using Bfloat = __nv_bfloat16;

// The length of a tile's row in shared memory. The eight extra numbers put neighboring rows into different banks.
template <int D>
constexpr int kStride = D + 8;

__device__ __forceinline__ uint32_t PackPair(float low, float high) {
  const Bfloat pair[2] = {static_cast<Bfloat>(low), static_cast<Bfloat>(high)};
  uint32_t word;
  memcpy(&word, pair, sizeof(word));
  return word;
}
__device__ __forceinline__ uint32_t LoadPair(const Bfloat* from) { return *reinterpret_cast<const uint32_t*>(from); }

// The numbers of one head for a sequence: `from` points to row 0, and rows are `width` apart.
struct HeadRows {
  const Bfloat* from;
  int64_t width, length;
};

// tile[r] = row first + r, for `count` rows; 0 beyond the sequence.
template <int D>
__device__ __forceinline__ void LoadTile(const HeadRows& rows, int64_t first, int count, Bfloat* tile) {
  constexpr int kPackets = D / kPacket;
  for (int i = static_cast<int>(threadIdx.x); i < count * kPackets; i += kTileThreads) {
    const int row = i / kPackets, column = i % kPackets * kPacket;
    Packed<Bfloat> packed;
#pragma unroll
    for (int k = 0; k < kPacket; ++k) packed.values[k] = static_cast<Bfloat>(0.0f);
    if (first + row < rows.length) {
      packed = *reinterpret_cast<const Packed<Bfloat>*>(rows.from + (first + row) * rows.width + column);
    }
    *reinterpret_cast<Packed<Bfloat>*>(tile + row * kStride<D> + column) = packed;
  }
}

// The calling lane's group of four lanes, and its two columns in a fragment.
struct Lane {
  __device__ __forceinline__ Lane()
      : warp(static_cast<int>(threadIdx.x) / 32),
        group(static_cast<int>(threadIdx.x) % 32 / 4),
        pair(static_cast<int>(threadIdx.x) % 4 * 2) {}
  int warp, group, pair;
};

// Rows [row, row + 16) and columns [column, column + 16) as the left side of a product.
template <int D>
__device__ __forceinline__ void LoadLeft(const Bfloat* tile, int row, int column, const Lane& lane, uint32_t (&a)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    a[i] = LoadPair(tile + (row + lane.group + i % 2 * 8) * kStride<D> + column + lane.pair + i / 2 * 8);
  }
}
// The right side of left x tile^T: rows [row, row + 8) are its columns, tile's columns [column, column + 16) are summed.
template <int D>
__device__ __forceinline__ void LoadAcross(const Bfloat* tile, int row, int column, const Lane& lane,
                                           uint32_t (&b)[2]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) b[i] = LoadPair(tile + (row + lane.group) * kStride<D> + column + lane.pair + i * 8);
}
// The right side of left x tile: rows [row, row + 16) are summed, columns [column, column + 8) are its columns.
template <int D>
__device__ __forceinline__ void LoadDown(const Bfloat* tile, int row, int column, const Lane& lane, uint32_t (&b)[2]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    Bfloat pair[2];
#pragma unroll
    for (int k = 0; k < 2; ++k) pair[k] = tile[(row + lane.pair + i * 8 + k) * kStride<D> + column + lane.group];
    memcpy(&b[i], pair, sizeof(b[i]));
  }
}

// sums[n] of 16 rows x 8 columns each += rows [row, row + 16) of `left` x (rows of `right`)^T.
template <int D, int N>
__device__ __forceinline__ void MultiplyAcross(const Bfloat* left, int row, const Bfloat* right, const Lane& lane,
                                               float (&sums)[N][4]) {
#pragma unroll
  for (int column = 0; column < D; column += 16) {
    uint32_t a[4], b[2];
    LoadLeft<D>(left, row, column, lane, a);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      LoadAcross<D>(right, n * 8, column, lane, b);
      MmaM16N8K16(sums[n], a, b);
    }
  }
}

// sums [16, D] += weights [16, 8 N] x the first 8 N rows of `right`. Weights are rounded to bfloat16.
template <int D, int N>
__device__ __forceinline__ void MultiplyDown(const float (&weights)[N][4], const Bfloat* right, const Lane& lane,
                                             float (&sums)[D / 8][4]) {
#pragma unroll
  for (int k = 0; k < N / 2; ++k) {
    // A product's result has the layout of the next one's left side.
    const uint32_t a[4] = {PackPair(weights[2 * k][0], weights[2 * k][1]), PackPair(weights[2 * k][2], weights[2 * k][3]),
                           PackPair(weights[2 * k + 1][0], weights[2 * k + 1][1]),
                           PackPair(weights[2 * k + 1][2], weights[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      uint32_t b[2];
      LoadDown<D>(right, k * 16, n * 8, lane, b);
      MmaM16N8K16(sums[n], a, b);
    }
  }
}

// Sum or maximum over the four lanes that share a row.
__device__ __forceinline__ float OverRow(float value, bool largest) {
#pragma unroll
  for (int distance = 1; distance < 4; distance *= 2) {
    const float other = __shfl_xor_sync(0xffffffff, value, distance);
    value = largest ? (other > value ? other : value) : value + other;
  }
  return value;
}

// Dropout's decisions on one head's probabilities of one sequence.
struct TileMask {
  uint64_t key;
  uint32_t threshold;  // 0: nothing is dropped
  int64_t head, length;

  __device__ __forceinline__ uint64_t Element(int64_t query, int64_t first_key) const {
    return static_cast<uint64_t>((head * length + query) * length + first_key);
  }
  // keep: for each of `queries` queries, bits of 72 keys that begin at a whole Philox block; 1: kept.
  __device__ __forceinline__ void Draw(int64_t first_query, int queries, int64_t first_key, unsigned char* keep) const {
    if (threshold == 0) return;
    constexpr int kBlocks = kTile / 8 + 1;
    for (int i = static_cast<int>(threadIdx.x); i < queries * kBlocks; i += kTileThreads) {
      const int query = i / kBlocks, block = i % kBlocks;
      const uint64_t counter = Element(first_query + query, first_key) / 8 + static_cast<uint64_t>(block);
      const auto words = Philox({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0}, key);
      unsigned bits = 0;
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        if ((words[k / 2] >> (k % 2 * 16) & 0xffff) >= threshold) bits |= 1u << k;
      }
      keep[query * kKeepBytes + block] = static_cast<unsigned char>(bits);
    }
  }
  // Bit k: whether key first_key + k of the query is kept.
  __device__ __forceinline__ uint64_t Keep(int64_t first_query, int query, int64_t first_key,
                                           const unsigned char* keep) const {
    if (threshold == 0) return ~uint64_t{0};
    const unsigned char* own = keep + query * kKeepBytes;
    const uint64_t low = *reinterpret_cast<const uint64_t*>(own);
    const int skipped = static_cast<int>(Element(first_query + query, first_key) % 8);
    return skipped == 0 ? low : low >> skipped | uint64_t{own[8]} << (64 - skipped);
  }
};

// The keys that a query attends to.
struct Sight {
  int64_t length, window;
  bool causal;
  __device__ __forceinline__ bool Sees(int64_t query, int64_t key) const {
    const int64_t apart = key > query ? key - query : query - key;
    return query < length && key < length && (window == 0 || apart <= window) && (!causal || key <= query);
  }
  // The keys, in whole tiles, that any of queries [first, first + count) sees; the queries that see any of these keys.
  __device__ __forceinline__ int64_t FirstKey(int64_t first) const {
    return window > 0 && first > window ? (first - window) / kTile * kTile : 0;
  }
  __device__ __forceinline__ int64_t EndKey(int64_t first, int count) const {
    int64_t end = length;
    if (causal && first + count < end) end = first + count;
    if (window > 0 && first + count + window < end) end = first + count + window;
    return end;
  }
  __device__ __forceinline__ int64_t FirstQuery(int64_t first, int count) const {
    const int64_t begin = causal ? first : window > 0 && first > window ? first - window : 0;
    return begin / count * count;
  }
  __device__ __forceinline__ int64_t EndQuery(int64_t first) const {
    return window > 0 && first + kTile + window < length ? first + kTile + window : length;
  }
};

}  // namespace muster::cuda
