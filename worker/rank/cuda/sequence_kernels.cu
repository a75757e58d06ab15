#include "worker/rank/cuda/sequence_kernels.h"

#include "worker/rank/cuda/device_rows.h"

namespace muster::cuda {
namespace {

constexpr int kStripe = 32;               // threads side by side: 256 columns
constexpr int kGroups = 8;                // of threads, each of which takes every eighth row
constexpr int64_t kMostSequences = 65535;  // a grid's second dimension

// The rows of a sequence that pooling reads, and the weight of each. In float64, as the CPU computes it.
struct Pooled {
  __device__ Pooled(const PoolJob& job, int64_t sequence) : kind(job.kind), first(job.first_rows[sequence]) {
    const int64_t length = job.first_rows[sequence + 1] - first;
    const int64_t left_out = job.unpooled != nullptr ? job.unpooled[sequence] : 0;
    begin = left_out < length ? left_out : length;
    end = length;
    if (begin == end) return;
    const double count = static_cast<double>(end - begin);
    if (kind == PoolKind::kCls) end = begin + 1;
    if (kind == PoolKind::kLast) begin = end - 1;
    if (kind == PoolKind::kMean) scale = 1 / count;
    if (kind == PoolKind::kMeanSqrtLength) scale = 1 / sqrt(count);
    if (kind == PoolKind::kWeightedMean) scale = 1 / (count * static_cast<double>(begin + 1 + end) / 2);
  }
  __device__ double Weight(int64_t place) const {
    return kind == PoolKind::kWeightedMean ? static_cast<double>(place + 1) * scale : scale;
  }
  PoolKind kind;
  int64_t first, begin, end;  // begin, end: places within the sequence; equal: nothing is left
  double scale = 1;
};

// Row and value of the larger element. Equal values: the first row. A NaN is larger than any number.
template <typename P>
__device__ __forceinline__ void TakeLarger(P x, int32_t row, P& best, int32_t& best_row) {
  const bool better = best_row < 0   ? true
                      : best != best ? x != x && row < best_row
                      : x != x       ? true
                                     : x > best || (x == best && row < best_row);
  if (row >= 0 && better) best = x, best_row = row;
}

// blockIdx.x: 256 columns; blockIdx.y: a sequence.
template <typename E>
__global__ void __launch_bounds__(kStripe* kGroups)
    PoolSumKernel(const PoolJob job, int64_t first_sequence, const E* hidden, ParameterOf<E>* out) {
  using P = ParameterOf<E>;
  MUSTER_SHARED(P, of_groups, kGroups * kStripe * kPacket);
  const int64_t sequence = first_sequence + blockIdx.y;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * kStripe + threadIdx.x) * kPacket;
  const int count = CountOf(job.width, column);
  const Pooled pooled(job, sequence);
  P sums[kPacket] = {};
  for (int64_t place = pooled.begin + threadIdx.y; place < pooled.end; place += kGroups) {
    const P weight = static_cast<P>(pooled.Weight(place));
    P x[kPacket];
    LoadPacket(hidden + (pooled.first + place) * job.width + column, count, x);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) sums[i] += x[i] * weight;
  }
#pragma unroll
  for (int i = 0; i < kPacket; ++i) of_groups[(threadIdx.y * kPacket + i) * kStripe + threadIdx.x] = sums[i];
  __syncthreads();
  if (threadIdx.y != 0) return;
#pragma unroll
  for (int i = 0; i < kPacket; ++i) {
    for (int group = 1; group < kGroups; ++group) sums[i] += of_groups[(group * kPacket + i) * kStripe + threadIdx.x];
  }
  StorePacket(sums, count, out + sequence * job.width + column);
}

// The same grid; a thread per column and group.
template <typename E>
__global__ void __launch_bounds__(kStripe* kGroups)
    PoolMaxKernel(const PoolJob job, int64_t first_sequence, const E* hidden, ParameterOf<E>* out) {
  using P = ParameterOf<E>;
  MUSTER_SHARED(P, of_groups, kGroups * kStripe);
  MUSTER_SHARED(int32_t, rows_of_groups, kGroups * kStripe);
  const int64_t sequence = first_sequence + blockIdx.y;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kStripe + threadIdx.x;
  const bool inside = column < job.width;
  const Pooled pooled(job, sequence);
  P best = 0;
  int32_t best_row = -1;
  for (int64_t place = pooled.begin + threadIdx.y; inside && place < pooled.end; place += kGroups) {
    const int64_t row = pooled.first + place;
    TakeLarger(static_cast<P>(hidden[row * job.width + column]), static_cast<int32_t>(row), best, best_row);
  }
  of_groups[threadIdx.y * kStripe + threadIdx.x] = best;
  rows_of_groups[threadIdx.y * kStripe + threadIdx.x] = best_row;
  __syncthreads();
  if (threadIdx.y != 0 || !inside) return;
  for (int group = 1; group < kGroups; ++group) {
    TakeLarger(of_groups[group * kStripe + threadIdx.x], rows_of_groups[group * kStripe + threadIdx.x], best, best_row);
  }
  out[sequence * job.width + column] = best;
  job.places[sequence * job.width + column] = best_row;
}

// blockIdx.x: 256 columns; blockIdx.y: a sequence, all rows of which are written.
template <typename E>
__global__ void __launch_bounds__(kStripe* kGroups)
    PoolBackwardKernel(const PoolJob job, int64_t first_sequence, const ParameterOf<E>* d_out, E* d_hidden) {
  using P = ParameterOf<E>;
  const int64_t sequence = first_sequence + blockIdx.y;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * kStripe + threadIdx.x) * kPacket;
  const int count = CountOf(job.width, column);
  const Pooled pooled(job, sequence);
  const int64_t length = job.first_rows[sequence + 1] - pooled.first;
  P d[kPacket];
  LoadPacket(d_out + sequence * job.width + column, count, d);
  int32_t places[kPacket];
#pragma unroll
  for (int i = 0; i < kPacket; ++i) {
    places[i] = job.kind == PoolKind::kMax && i < count ? job.places[sequence * job.width + column + i] : -1;
  }
  for (int64_t place = threadIdx.y; place < length; place += kGroups) {
    const bool inside = place >= pooled.begin && place < pooled.end;
    const P weight = inside ? static_cast<P>(pooled.Weight(place)) : P{0};
    P own[kPacket];
#pragma unroll
    for (int i = 0; i < kPacket; ++i) {
      const bool taken = job.kind == PoolKind::kMax ? places[i] == pooled.first + place : inside;
      own[i] = !taken ? P{0} : job.kind == PoolKind::kMax ? d[i] : d[i] * weight;
    }
    StorePacket(own, count, d_hidden + (pooled.first + place) * job.width + column);
  }
}

// blockIdx.x: a position in the sorted indices; only blocks at the first position of an index work. blockIdx.y: 1024 columns.
template <typename P>
__global__ void __launch_bounds__(128)
    AddToRowsKernel(const P* rows, const int64_t* sorted, const int64_t* order, int64_t count, int64_t width, P* table) {
  const int64_t begin = blockIdx.x, index = sorted[begin];
  if (begin > 0 && sorted[begin - 1] == index) return;
  const int64_t column = (static_cast<int64_t>(blockIdx.y) * 128 + threadIdx.x) * kPacket;
  const int own = CountOf(width, column);
  if (own == 0) return;
  P sum[kPacket];
  LoadPacket(table + index * width + column, own, sum);
  for (int64_t i = begin; i < count && sorted[i] == index; ++i) {
    P x[kPacket];
    LoadPacket(rows + order[i] * width + column, own, x);
#pragma unroll
    for (int k = 0; k < kPacket; ++k) sum[k] += x[k];
  }
  StorePacket(sum, own, table + index * width + column);
}

// Launches `kernel` over all sequences, as many at once as a grid's second dimension allows.
template <typename Out, typename In, typename... Parameters>
cudaError_t OverSequences(void (*kernel)(Parameters...), const PoolJob& job, int64_t columns_per_block, In in, Out out,
                          cudaStream_t stream) {
  for (int64_t first = 0; first < job.sequences; first += kMostSequences) {
    const int64_t left = job.sequences - first, at_once = left < kMostSequences ? left : kMostSequences;
    const dim3 grid(static_cast<unsigned>((job.width + columns_per_block - 1) / columns_per_block),
                    static_cast<unsigned>(at_once));
    const cudaError_t error = Launch(kernel, grid, dim3(kStripe, kGroups), 0, stream, job, first, in, out);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

template <typename P>
int AddSorted(const void* rows, const int64_t* sorted, const int64_t* order, int64_t count, int64_t width, void* table,
              void* stream) {
  const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>((width + 1023) / 1024));
  return Launch(AddToRowsKernel<P>, grid, 128, 0, static_cast<cudaStream_t>(stream), static_cast<const P*>(rows),
                sorted, order, count, width, static_cast<P*>(table));
}

}  // namespace

int Pool(const PoolJob& job, const void* hidden, void* out, void* stream) {
  if (job.width == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    const auto on = static_cast<cudaStream_t>(stream);
    const auto* from = static_cast<const E*>(hidden);
    auto* to = static_cast<P*>(out);
    return job.kind == PoolKind::kMax ? OverSequences(PoolMaxKernel<E>, job, kStripe, from, to, on)
                                      : OverSequences(PoolSumKernel<E>, job, kStripe * kPacket, from, to, on);
  };
  MUSTER_WITH_ELEMENT(job.element, run);
}

int PoolBackward(const PoolJob& job, const void* d_out, void* d_hidden, void* stream) {
  if (job.width == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int {
    using E = decltype(zero);
    return OverSequences(PoolBackwardKernel<E>, job, kStripe * kPacket, static_cast<const ParameterOf<E>*>(d_out),
                         static_cast<E*>(d_hidden), static_cast<cudaStream_t>(stream));
  };
  MUSTER_WITH_ELEMENT(job.element, run);
}

int AddToRows(Element element, const void* rows, const int64_t* sorted, const int64_t* order, int64_t count,
              int64_t width, void* table, void* stream) {
  if (count == 0 || width == 0) return cudaSuccess;
  return element == Element::kDouble ? AddSorted<double>(rows, sorted, order, count, width, table, stream)
                                     : AddSorted<float>(rows, sorted, order, count, width, table, stream);
}

}  // namespace muster::cuda
