#include <algorithm>
#include <limits>

#include "worker/rank/cuda/device.h"
#include "worker/rank/cuda/tile_kernels.h"

namespace muster::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int64_t kMostBlocks = 65536;  // of kernels that stride over their elements

template <typename T>
__device__ T Exp(T x) {
  return exp(x);
}

struct Larger {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};
struct Sum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

// The sum over all threads of the block, in an order that never changes; every thread gets it.
template <typename T, typename Combine>
__device__ T OverBlock(T value, Combine combine) {
  MUSTER_SHARED(T, warps, kWarps);
  for (int distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffff, value, distance));
  }
  __syncthreads();  // threads may still be reading `warps`
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  value = warps[0];
  for (int warp = 1; warp < kWarps; ++warp) value = combine(value, warps[warp]);
  return value;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) FillKernel(T* scores, const int64_t* positions, int64_t count, T value) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) {
    scores[positions[i]] = value;
  }
}

template <typename T>
cudaError_t Fill(T* scores, const int64_t* positions, int64_t count, T value, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  const int64_t blocks = std::min((count + kThreads - 1) / kThreads, kMostBlocks);
  return Launch(FillKernel<T>, static_cast<unsigned>(blocks), kThreads, 0, stream, scores, positions, count, value);
}

template <typename T>
__global__ void ScatterKernel(T* scores, const int64_t* positions, const T* values, int64_t count) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) {
    scores[positions[i]] = values[i];
  }
}

// A block per row: the largest score, then the sum relative to it. The row is read twice; a tile fits the L2 cache.
template <typename T>
__global__ void __launch_bounds__(kThreads) AccumulateLseKernel(const T* scores, int64_t columns, T* top, T* sum) {
  const int64_t row = blockIdx.x;
  const T* own = scores + row * columns;
  const T infinity = std::numeric_limits<T>::infinity();
  T largest = -infinity;
  for (int64_t c = threadIdx.x; c < columns; c += kThreads) {
    const T score = own[c];
    largest = Larger()(largest, score != score ? infinity : score);  // NaN: inf - inf below keeps it
  }
  largest = OverBlock(largest, Larger());
  if (largest == -infinity) return;  // no negative in this tile
  const T before = top[row], reference = Larger()(before, largest);
  T total = 0;
  for (int64_t c = threadIdx.x; c < columns; c += kThreads) total += Exp(own[c] - reference);
  total = OverBlock(total, Sum());
  if (threadIdx.x == 0) {
    sum[row] = (before == -infinity ? T{0} : sum[row] * Exp(before - reference)) + total;
    top[row] = reference;
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) WeighKernel(T* scores, int64_t columns, const T* lse, const T* scale) {
  const int64_t row = blockIdx.x;
  T* own = scores + row * columns;
  const T reference = lse[row], factor = scale[row];
#pragma unroll 1  // else exp of float64 spills
  for (int64_t c = threadIdx.x; c < columns; c += kThreads) {
    own[c] = factor == 0 ? T{0} : factor * Exp(own[c] - reference);
  }
}

// A block per row.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    IgnoreAboveKernel(T* scores, int64_t columns, const T* limits, double* counts, double* sums) {
  const int64_t row = blockIdx.x;
  T* own = scores + row * columns;
  const T limit = limits[row], none = -std::numeric_limits<T>::infinity();
  double count = 0, sum = 0;
  for (int64_t c = threadIdx.x; c < columns; c += kThreads) {
    const T score = own[c];
    if (!(score > limit)) continue;
    own[c] = none;
    count += 1;
    sum += score;
  }
  if (counts == nullptr) return;
  count = OverBlock(count, Sum());
  sum = OverBlock(sum, Sum());
  if (threadIdx.x == 0) {
    counts[row] += count;
    sums[row] += sum;
  }
}

}  // namespace

template <typename T>
int AccumulateLse(T* scores, int64_t rows, int64_t columns, const int64_t* excluded, int64_t excluded_count, T* top,
                  T* sum, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  if (rows == 0 || columns == 0) return cudaSuccess;
  if (const cudaError_t error = Fill(scores, excluded, excluded_count, -std::numeric_limits<T>::infinity(), on);
      error != cudaSuccess) {
    return error;
  }
  return Launch(AccumulateLseKernel<T>, static_cast<unsigned>(rows), kThreads, 0, on, scores, columns, top, sum);
}

template <typename T>
int Weigh(T* scores, int64_t rows, int64_t columns, const int64_t* excluded, int64_t excluded_count, const T* lse,
          const T* scale, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  if (rows == 0 || columns == 0) return cudaSuccess;
  if (const cudaError_t error =
          Launch(WeighKernel<T>, static_cast<unsigned>(rows), kThreads, 0, on, scores, columns, lse, scale);
      error != cudaSuccess) {
    return error;
  }
  return Fill(scores, excluded, excluded_count, T{0}, on);
}

template <typename T>
int Scatter(T* scores, const int64_t* positions, const T* values, int64_t count, void* stream) {
  if (count == 0) return cudaSuccess;
  const int64_t blocks = std::min((count + kThreads - 1) / kThreads, kMostBlocks);
  return Launch(ScatterKernel<T>, static_cast<unsigned>(blocks), kThreads, 0, static_cast<cudaStream_t>(stream), scores,
                positions, values, count);
}

template <typename T>
int IgnoreAbove(T* scores, int64_t rows, int64_t columns, const int64_t* excluded, int64_t excluded_count,
                const T* limits, double* counts, double* sums, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  if (rows == 0 || columns == 0) return cudaSuccess;
  if (const cudaError_t error = Fill(scores, excluded, excluded_count, -std::numeric_limits<T>::infinity(), on);
      error != cudaSuccess) {
    return error;
  }
  return Launch(IgnoreAboveKernel<T>, static_cast<unsigned>(rows), kThreads, 0, on, scores, columns, limits, counts, sums);
}

template int IgnoreAbove<float>(float*, int64_t, int64_t, const int64_t*, int64_t, const float*, double*, double*, void*);
template int IgnoreAbove<double>(double*, int64_t, int64_t, const int64_t*, int64_t, const double*, double*, double*,
                                 void*);
template int Scatter<float>(float*, const int64_t*, const float*, int64_t, void*);
template int Scatter<double>(double*, const int64_t*, const double*, int64_t, void*);
template int AccumulateLse<float>(float*, int64_t, int64_t, const int64_t*, int64_t, float*, float*, void*);
template int AccumulateLse<double>(double*, int64_t, int64_t, const int64_t*, int64_t, double*, double*, void*);
template int Weigh<float>(float*, int64_t, int64_t, const int64_t*, int64_t, const float*, const float*, void*);
template int Weigh<double>(double*, int64_t, int64_t, const int64_t*, int64_t, const double*, const double*, void*);

}  // namespace muster::cuda
