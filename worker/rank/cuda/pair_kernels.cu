// A warp per pair or row. Each lane adds its packets in order, then the lanes are added in pairs: the sum depends on the
// width alone.
#include "worker/rank/cuda/pair_kernels.h"

#include "worker/rank/cuda/device_rows.h"

namespace muster::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

__device__ __forceinline__ double OverWarp(double sum) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffff, sum, distance);
  return sum;
}

// The calling lane's part of a . b.
template <typename A, typename B>
__device__ __forceinline__ double OwnDot(const A* a, const B* b, int64_t width) {
  double sum = 0;
  for (int64_t column = static_cast<int64_t>(threadIdx.x % 32) * kPacket; column < width; column += 32 * kPacket) {
    double x[kPacket], y[kPacket];
    LoadPacket(a + column, CountOf(width, column), x);
    LoadPacket(b + column, CountOf(width, column), y);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) sum += x[i] * y[i];
  }
  return sum;
}

template <typename E>
__global__ void __launch_bounds__(kThreads)
    PairDotsKernel(const E* queries, const E* passages, const int64_t* rows, const int64_t* columns, int64_t count,
                   int64_t width, double* dots) {
  const int64_t pair = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (pair >= count) return;  // the whole warp
  const double dot = OverWarp(OwnDot(queries + rows[pair] * width, passages + columns[pair] * width, width));
  if (threadIdx.x % 32 == 0) dots[pair] = dot;
}

template <typename E>
__global__ void __launch_bounds__(kThreads)
    MeasureRowsKernel(const E* rows, int64_t count, int64_t width, const double* direction, double* squares,
                      double* along) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= count) return;
  const E* own = rows + row * width;
  const double square = OverWarp(OwnDot(own, own, width)), product = OverWarp(OwnDot(own, direction, width));
  if (threadIdx.x % 32 != 0) return;
  squares[row] = square;
  along[row] = product;
}

unsigned BlocksFor(int64_t warps) { return static_cast<unsigned>((warps + kWarps - 1) / kWarps); }

}  // namespace

int PairDots(Element element, const void* queries, const void* passages, const int64_t* rows, const int64_t* columns,
             int64_t count, int64_t width, double* dots, void* stream) {
  if (count == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int {
    using E = decltype(zero);
    return Launch(PairDotsKernel<E>, BlocksFor(count), kThreads, 0, static_cast<cudaStream_t>(stream),
                  static_cast<const E*>(queries), static_cast<const E*>(passages), rows, columns, count, width, dots);
  };
  MUSTER_WITH_ELEMENT(element, run);
}

int MeasureRows(Element element, const void* rows, int64_t count, int64_t width, const double* direction,
                double* squares, double* along, void* stream) {
  if (count == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int {
    using E = decltype(zero);
    return Launch(MeasureRowsKernel<E>, BlocksFor(count), kThreads, 0, static_cast<cudaStream_t>(stream),
                  static_cast<const E*>(rows), count, width, direction, squares, along);
  };
  MUSTER_WITH_ELEMENT(element, run);
}

}  // namespace muster::cuda
