#include "worker/rank/cuda/column_sums.h"

#include "worker/rank/cuda/device_rows.h"

namespace muster::cuda {
namespace {

constexpr int kColumns = 32, kGroups = 8;  // of a block of AddPartialSumsKernel
constexpr int kStripe = 32;                // threads of a block of ColumnSumsKernel side by side
constexpr int kRowGroups = 8;

int64_t AllColumns(const SumTargets& targets) {
  int64_t columns = 0;
  for (const int64_t own : targets.columns) columns += own;
  return columns;
}

// blockIdx.x: 32 columns. Each of the eight groups of threads takes every eighth row.
template <typename P>
__global__ void __launch_bounds__(kColumns* kGroups)
    AddPartialSumsKernel(const P* partial, int64_t rows, int64_t columns, const SumTargets targets) {
  MUSTER_SHARED(P, of_groups, kColumns * kGroups);
  int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  P sum = 0;
  if (column < columns) {
#pragma unroll 4
    for (int64_t row = threadIdx.y; row < rows; row += kGroups) sum += partial[row * columns + column];
  }
  of_groups[threadIdx.y * kColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0) return;
  for (int group = 1; group < kGroups; ++group) sum += of_groups[group * kColumns + threadIdx.x];
#pragma unroll
  for (int k = 0; k < SumTargets::kMost; ++k) {
    if (column >= 0 && column < targets.columns[k] && targets.to[k] != nullptr) static_cast<P*>(targets.to[k])[column] += sum;
    column -= targets.columns[k];
  }
}

// blockIdx.x: a stripe of 256 columns; blockIdx.y: a block of rows, of which each group of threads takes every eighth.
template <typename E>
__global__ void __launch_bounds__(kStripe* kRowGroups)
    ColumnSumsKernel(const E* rows_of, int64_t rows, int64_t columns, int64_t rows_per_block, ParameterOf<E>* partial) {
  using P = ParameterOf<E>;
  MUSTER_SHARED(P, of_groups, kRowGroups * kStripe * kPacket);
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * kStripe + threadIdx.x) * kPacket;
  const int count = CountOf(columns, column);
  const int64_t begin = static_cast<int64_t>(blockIdx.y) * rows_per_block;
  const int64_t end = begin + rows_per_block < rows ? begin + rows_per_block : rows;
  P sums[kPacket] = {};
  for (int64_t row = begin + threadIdx.y; row < end; row += kRowGroups) {
    P x[kPacket];
    LoadPacket(rows_of + row * columns + column, count, x);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) sums[i] += x[i];
  }
#pragma unroll
  for (int i = 0; i < kPacket; ++i) of_groups[(threadIdx.y * kPacket + i) * kStripe + threadIdx.x] = sums[i];
  __syncthreads();
  if (threadIdx.y != 0) return;
#pragma unroll
  for (int i = 0; i < kPacket; ++i) {
    for (int group = 1; group < kRowGroups; ++group) {
      sums[i] += of_groups[(group * kPacket + i) * kStripe + threadIdx.x];
    }
  }
  StorePacket(sums, count, partial + blockIdx.y * columns + column);
}

template <typename P>
cudaError_t AddPartial(const P* partial, int64_t rows, const SumTargets& targets, cudaStream_t stream) {
  const int64_t columns = AllColumns(targets);
  if (rows == 0 || columns == 0) return cudaSuccess;
  return Launch(AddPartialSumsKernel<P>, static_cast<unsigned>((columns + kColumns - 1) / kColumns),
                dim3(kColumns, kGroups), 0, stream, partial, rows, columns, targets);
}

}  // namespace

int AddPartialSums(Element element, const void* partial, int64_t rows, const SumTargets& targets, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  return element == Element::kDouble ? AddPartial(static_cast<const double*>(partial), rows, targets, on)
                                     : AddPartial(static_cast<const float*>(partial), rows, targets, on);
}

int AddColumnSums(Element element, const void* rows_of, int64_t rows, void* partial, const SumTargets& targets,
                  void* stream) {
  const int64_t columns = AllColumns(targets);
  if (rows == 0 || columns == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    constexpr int64_t kStripeColumns = kStripe * kPacket;
    const dim3 grid(static_cast<unsigned>((columns + kStripeColumns - 1) / kStripeColumns),
                    static_cast<unsigned>(PartialRows(rows)));
    const cudaError_t error =
        Launch(ColumnSumsKernel<E>, grid, dim3(kStripe, kRowGroups), 0, static_cast<cudaStream_t>(stream),
               static_cast<const E*>(rows_of), rows, columns, RowsPerPartial(rows), static_cast<P*>(partial));
    return error != cudaSuccess ? error : AddPartialSums(element, partial, PartialRows(rows), targets, stream);
  };
  MUSTER_WITH_ELEMENT(element, run);
}

}  // namespace muster::cuda
