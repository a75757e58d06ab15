// A block covers a row, eight elements per thread, which stay in registers; it takes several rows one after the other,
// so that column sums stay in registers too.
#include "worker/rank/cuda/norm_kernels.h"

#include "worker/rank/cuda/device_rows.h"

namespace muster::cuda {
namespace {

// float64 needs twice as many registers.
template <typename E>
constexpr int kMostThreads = kMostNormWidth / kPacket;
template <>
constexpr int kMostThreads<double> = kMostNormWidth / kPacket / 2;

constexpr int64_t kForwardBlocks = 4096;  // more than fit a GPU at once

// The part of a norm that a thread holds.
template <typename P>
struct OwnNorm {
  __device__ __forceinline__ OwnNorm(const NormJob& job, int64_t column, int own_count)
      : kind(job.kind), count(own_count), width(static_cast<P>(job.width)), epsilon(static_cast<P>(job.epsilon)) {
    LoadOptional(static_cast<const P*>(job.weight), column, count, weight);
  }

  // Mean (0 for RMSNorm) and 1 / deviation of the row.
  __device__ __forceinline__ void Measure(const P (&x)[kPacket], P& mean, P& inverse) const {
    P sum[1] = {0};
    mean = 0;
    if (kind == NormKind::kLayerNorm) {
#pragma unroll
      for (int i = 0; i < kPacket; ++i) sum[0] += x[i];  // 0 beyond count
      BlockSum(sum);
      mean = sum[0] / width;
    }
    sum[0] = 0;
#pragma unroll
    for (int i = 0; i < kPacket; ++i) {
      if (i < count) sum[0] += (x[i] - mean) * (x[i] - mean);
    }
    BlockSum(sum);
    inverse = 1 / sqrt(sum[0] / width + epsilon);
  }

  // Turns d, which holds d_out, into the gradient of x, and adds to d_weight and d_bias.
  __device__ __forceinline__ void Backward(const P (&x)[kPacket], P mean, P inverse, P (&d)[kPacket],
                                           P (&d_weight)[kPacket], P (&d_bias)[kPacket]) const {
    P normed[kPacket], sums[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < kPacket; ++i) {
      normed[i] = i < count ? (x[i] - mean) * inverse : P{0};
      d_weight[i] += d[i] * normed[i];
      d_bias[i] += d[i];
      d[i] *= weight[i];
      sums[0] += d[i];
      sums[1] += d[i] * normed[i];
    }
    BlockSum(sums);
    const P mean_d = kind == NormKind::kRmsNorm ? P{0} : sums[0] / width, mean_product = sums[1] / width;
#pragma unroll
    for (int i = 0; i < kPacket; ++i) d[i] = inverse * (d[i] - mean_d - normed[i] * mean_product);
  }

  const NormKind kind;
  const int count;
  const P width, epsilon;
  P weight[kPacket];
};

template <typename E, typename P>
__device__ __forceinline__ void AddOptional(const E* from, int64_t offset, int count, P (&x)[kPacket]) {
  if (from == nullptr) return;
  P other[kPacket];
  LoadPacket(from + offset, count, other);
#pragma unroll
  for (int i = 0; i < kPacket; ++i) x[i] += other[i];
}

template <typename P>
__device__ __forceinline__ void StoreStatistics(void* statistics, int64_t row, P mean, P inverse) {
  if (statistics == nullptr || threadIdx.x != 0) return;
  static_cast<P*>(statistics)[2 * row] = mean;
  static_cast<P*>(statistics)[2 * row + 1] = inverse;
}

// The rows of a block, and the columns of a thread.
struct Place {
  __device__ __forceinline__ Place(const NormJob& job, int64_t rows_per_block)
      : column(static_cast<int64_t>(threadIdx.x) * kPacket),
        count(CountOf(job.width, column)),
        begin(static_cast<int64_t>(blockIdx.x) * rows_per_block),
        end(begin + rows_per_block < job.rows ? begin + rows_per_block : job.rows) {}
  const int64_t column;
  const int count;
  const int64_t begin, end;
};

// x <- (x - mean) * inverse * weight + bias.
template <typename P>
__device__ __forceinline__ void Apply(const NormJob& job, const OwnNorm<P>& norm, const Place& place, P mean, P inverse,
                                      P (&x)[kPacket]) {
#pragma unroll
  for (int i = 0; i < kPacket; ++i) x[i] = (x[i] - mean) * inverse * norm.weight[i];
  AddOptional(static_cast<const P*>(job.bias), place.column, place.count, x);
}

// Apply with the row's own statistics.
template <typename P>
__device__ __forceinline__ void Normalize(const NormJob& job, const OwnNorm<P>& norm, const Place& place, int64_t row,
                                          void* statistics, P (&x)[kPacket]) {
  P mean, inverse;
  norm.Measure(x, mean, inverse);
  StoreStatistics(statistics, row, mean, inverse);
  Apply(job, norm, place, mean, inverse, x);
}

template <typename E>
__global__ void __launch_bounds__(kMostThreads<E>) AddNormKernel(const AddNormJob job, int64_t rows_per_block) {
  using P = ParameterOf<E>;
  const Place place(job, rows_per_block);
  const OwnNorm<P> norm(job, place.column, place.count);
  RowMasks masks(job.mask);
  for (int64_t row = place.begin; row < place.end; ++row) {
    const int64_t offset = row * job.width + place.column;
    P x[kPacket];
    LoadPacket(static_cast<const E*>(job.product) + offset, place.count, x);
    AddOptional(static_cast<const P*>(job.product_bias), place.column, place.count, x);
    masks.Apply(row, job.width, place.column, x);
    AddOptional(static_cast<const E*>(job.residual), offset, place.count, x);
    if (job.sum != nullptr) StorePacket(x, place.count, static_cast<E*>(job.sum) + offset);
    Normalize(job, norm, place, row, job.statistics, x);
    StorePacket(x, place.count, static_cast<E*>(job.out) + offset);
  }
}

// A thread's sums over the rows of its block.
template <typename P>
struct OwnSums {
  __device__ __forceinline__ void Store(const NormJob& job, const NormSums& sums, const Place& place) {
    if (sums.partial == nullptr) return;
    P* own = static_cast<P*>(sums.partial) + static_cast<int64_t>(blockIdx.x) * 3 * job.width + place.column;
    StorePacket(weight, place.count, own);
    StorePacket(bias, place.count, own + job.width);
    StorePacket(product_bias, place.count, own + 2 * job.width);
  }
  P weight[kPacket] = {}, bias[kPacket] = {}, product_bias[kPacket] = {};
};

template <typename E>
__global__ void __launch_bounds__(kMostThreads<E>)
    AddNormBackwardKernel(const AddNormBackwardJob job, int64_t rows_per_block) {
  using P = ParameterOf<E>;
  const Place place(job, rows_per_block);
  const OwnNorm<P> norm(job, place.column, place.count);
  RowMasks masks(job.mask);
  OwnSums<P> sums;
  for (int64_t row = place.begin; row < place.end; ++row) {
    const int64_t offset = row * job.width + place.column;
    P x[kPacket], d[kPacket];
    LoadPacket(static_cast<const E*>(job.sum) + offset, place.count, x);
    const P* statistics = static_cast<const P*>(job.statistics) + 2 * row;
    if (job.out != nullptr) {  // first, while few registers are in use
      P out[kPacket];
#pragma unroll
      for (int i = 0; i < kPacket; ++i) out[i] = x[i];
      Apply(job, norm, place, statistics[0], statistics[1], out);
      StorePacket(out, place.count, static_cast<E*>(job.out) + offset);
    }
    LoadPacket(static_cast<const E*>(job.d_out) + offset, place.count, d);
    norm.Backward(x, statistics[0], statistics[1], d, sums.weight, sums.bias);
    AddOptional(static_cast<const E*>(job.d_sum_before), offset, place.count, d);
    if (job.d_sum != nullptr) StorePacket(d, place.count, static_cast<E*>(job.d_sum) + offset);
    masks.Apply(row, job.width, place.column, d);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) sums.product_bias[i] += i < place.count ? d[i] : P{0};
    if (job.d_product != nullptr) StorePacket(d, place.count, static_cast<E*>(job.d_product) + offset);
  }
  sums.Store(job, job.sums, place);
}

template <typename P>
__device__ __forceinline__ void GatherEmbedding(const EmbeddingJob& job, const Place& place, int64_t row,
                                                P (&x)[kPacket]) {
  P other[kPacket];
  LoadOptional(static_cast<const P*>(job.type), place.column, place.count, other);
  if (job.places != nullptr) {
    P of_place[kPacket];
    LoadPacket(static_cast<const P*>(job.places) + job.positions[row] * job.width + place.column, place.count, of_place);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) other[i] = of_place[i] + other[i];
  }
  LoadPacket(static_cast<const P*>(job.words) + job.tokens[row] * job.width + place.column, place.count, x);
#pragma unroll
  for (int i = 0; i < kPacket; ++i) x[i] += other[i];
}

template <typename E>
__global__ void __launch_bounds__(kMostThreads<E>) EmbedNormKernel(const EmbedNormJob job, int64_t rows_per_block) {
  using P = ParameterOf<E>;
  const Place place(job, rows_per_block);
  const OwnNorm<P> norm(job, place.column, place.count);
  RowMasks masks(job.mask);
  for (int64_t row = place.begin; row < place.end; ++row) {
    P x[kPacket];
    GatherEmbedding(job, place, row, x);
    if (job.kind != NormKind::kNone) Normalize(job, norm, place, row, job.statistics, x);
    masks.Apply(row, job.width, place.column, x);
    StorePacket(x, place.count, static_cast<E*>(job.out) + row * job.width + place.column);
  }
}

template <typename E>
__global__ void __launch_bounds__(kMostThreads<E>)
    EmbedNormBackwardKernel(const EmbedNormBackwardJob job, int64_t rows_per_block) {
  using P = ParameterOf<E>;
  const Place place(job, rows_per_block);
  const OwnNorm<P> norm(job, place.column, place.count);
  RowMasks masks(job.mask);
  OwnSums<P> sums;
  for (int64_t row = place.begin; row < place.end; ++row) {
    const int64_t offset = row * job.width + place.column;
    P d[kPacket];
    LoadPacket(static_cast<const E*>(job.d_out) + offset, place.count, d);
    masks.Apply(row, job.width, place.column, d);
    if (job.kind != NormKind::kNone) {
      P x[kPacket];
      GatherEmbedding(job, place, row, x);
      const P* statistics = static_cast<const P*>(job.statistics) + 2 * row;
      norm.Backward(x, statistics[0], statistics[1], d, sums.weight, sums.bias);
    }
#pragma unroll
    for (int i = 0; i < kPacket; ++i) sums.product_bias[i] += i < place.count ? d[i] : P{0};
    StorePacket(d, place.count, static_cast<P*>(job.d_sum) + offset);
  }
  sums.Store(job, job.sums, place);
}

template <typename Job>
bool Fits(const Job& job) {
  return job.width <= (job.element == Element::kDouble ? kMostNormWidth / 2 : kMostNormWidth);
}

template <typename Job>
int RunForward(void (*kernel)(Job, int64_t), const Job& job, void* stream) {
  const int64_t per_block = (job.rows + kForwardBlocks - 1) / kForwardBlocks;
  return Launch(kernel, static_cast<unsigned>((job.rows + per_block - 1) / per_block), ThreadsFor(job.width), 0,
                static_cast<cudaStream_t>(stream), job, per_block);
}

template <typename Job>
int RunBackward(void (*kernel)(Job, int64_t), const Job& job, void* stream) {
  const cudaError_t error = Launch(kernel, static_cast<unsigned>(PartialRows(job.rows)), ThreadsFor(job.width), 0,
                                   static_cast<cudaStream_t>(stream), job, RowsPerPartial(job.rows));
  if (error != cudaSuccess || job.sums.partial == nullptr) return error;
  const SumTargets targets{{job.sums.weight, job.sums.bias, job.sums.product_bias}, {job.width, job.width, job.width}};
  return AddPartialSums(job.element, job.sums.partial, PartialRows(job.rows), targets, stream);
}

}  // namespace

int AddNorm(const AddNormJob& job, void* stream) {
  if (!Fits(job) || job.kind == NormKind::kNone) return cudaErrorInvalidValue;
  if (job.rows == 0 || job.width == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int { return RunForward(AddNormKernel<decltype(zero)>, job, stream); };
  MUSTER_WITH_ELEMENT(job.element, run);
}

int AddNormBackward(const AddNormBackwardJob& job, void* stream) {
  if (!Fits(job) || job.kind == NormKind::kNone) return cudaErrorInvalidValue;
  if (job.rows == 0 || job.width == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int { return RunBackward(AddNormBackwardKernel<decltype(zero)>, job, stream); };
  MUSTER_WITH_ELEMENT(job.element, run);
}

int EmbedNorm(const EmbedNormJob& job, void* stream) {
  if (!Fits(job)) return cudaErrorInvalidValue;
  if (job.rows == 0 || job.width == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int { return RunForward(EmbedNormKernel<decltype(zero)>, job, stream); };
  MUSTER_WITH_ELEMENT(job.element, run);
}

int EmbedNormBackward(const EmbedNormBackwardJob& job, void* stream) {
  if (!Fits(job)) return cudaErrorInvalidValue;
  if (job.rows == 0 || job.width == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int { return RunBackward(EmbedNormBackwardKernel<decltype(zero)>, job, stream); };
  MUSTER_WITH_ELEMENT(job.element, run);
}

}  // namespace muster::cuda
