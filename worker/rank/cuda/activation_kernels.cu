// A block covers a stripe of columns, eight elements per thread, and several rows one after the other, so that the
// bias and its gradient stay in registers.
#include "worker/rank/cuda/activation_kernels.h"

#include "worker/rank/cuda/device_rows.h"

namespace muster::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int64_t kStripe = kThreads * kPacket;  // columns of a block
constexpr int64_t kForwardBlocks = 2048;         // of rows
// The least number of blocks per multiprocessor: it allows 64 registers per thread, or 128 for float64. Without it ptxas aims
// at fewer registers, and spills.
template <typename E>
constexpr int kLeastBlocks = sizeof(ParameterOf<E>) == sizeof(float) ? 8 : 4;

// f(x) and f'(x).
template <ActivationKind kind, typename P>
__device__ __forceinline__ void Evaluate(P x, P& value, P& derivative) {
  if constexpr (kind == ActivationKind::kGelu) {
    constexpr P kRootHalf = P(0.70710678118654752440), kDensity = P(0.39894228040143267794);
    const P distribution = P(0.5) * (1 + erf(x * kRootHalf));
    value = x * distribution;
    derivative = distribution + x * (exp(P(-0.5) * x * x) * kDensity);
  } else if constexpr (kind == ActivationKind::kGeluTanh) {
    constexpr P kRoot = P(0.79788456080286535588), kCube = P(0.044715);
    const P t = tanh(kRoot * x * (1 + kCube * x * x));
    value = P(0.5) * x * (1 + t);
    derivative = P(0.5) * (1 + t) + P(0.5) * x * (1 - t * t) * kRoot * (1 + 3 * kCube * x * x);
  } else if constexpr (kind == ActivationKind::kSilu) {
    const P sigmoid = 1 / (1 + exp(-x));
    value = x * sigmoid;
    derivative = sigmoid * (1 + x * (1 - sigmoid));
  } else if constexpr (kind == ActivationKind::kTanh) {
    value = tanh(x);
    derivative = 1 - value * value;
  } else {
    value = x > 0 || x != x ? x : P{0};  // NaN stays NaN
    derivative = x > 0 ? P{1} : P{0};
  }
}

// The elements of a thread.
struct Place {
  __device__ __forceinline__ Place(const ActivationJob& job, int64_t rows_per_block)
      : column((static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kPacket),
        count(CountOf(job.width, column)),
        begin(static_cast<int64_t>(blockIdx.y) * rows_per_block),
        end(begin + rows_per_block < job.rows ? begin + rows_per_block : job.rows),
        input_width(job.gated ? 2 * job.width : job.width) {}
  const int64_t column;
  const int count;
  const int64_t begin, end, input_width;
};

// Loads elements of x + bias, starting at column `first`: 0, or the width for the gate.
template <typename E, typename P>
__device__ __forceinline__ void LoadInput(const ActivationJob& job, const Place& place, int64_t row, int64_t first,
                                          const P (&bias)[kPacket], P (&x)[kPacket]) {
  LoadPacket(static_cast<const E*>(job.x) + row * place.input_width + first + place.column, place.count, x);
#pragma unroll
  for (int i = 0; i < kPacket; ++i) x[i] += bias[i];
}

template <typename E, ActivationKind kind>
__global__ void __launch_bounds__(kThreads, kLeastBlocks<E>)
    ActivateKernel(const ActivationJob job, int64_t rows_per_block) {
  using P = ParameterOf<E>;
  const Place place(job, rows_per_block);
  P bias[kPacket], gate_bias[kPacket] = {};
  LoadOptional(static_cast<const P*>(job.bias), place.column, place.count, bias);
  if (job.gated) LoadOptional(static_cast<const P*>(job.bias), job.width + place.column, place.count, gate_bias);
  RowMasks masks(job.mask);
  for (int64_t row = place.begin; row < place.end; ++row) {
    P x[kPacket], derivative;
    LoadInput<E>(job, place, row, 0, bias, x);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) Evaluate<kind>(x[i], x[i], derivative);
    if (job.gated) {
      P gate[kPacket];
      LoadInput<E>(job, place, row, job.width, gate_bias, gate);
#pragma unroll
      for (int i = 0; i < kPacket; ++i) x[i] *= gate[i];
    }
    masks.Apply(row, job.width, place.column, x);
    StorePacket(x, place.count, static_cast<E*>(job.out) + row * job.width + place.column);
  }
}

template <typename E, ActivationKind kind>
__global__ void __launch_bounds__(kThreads)
    ActivateBackwardKernel(const ActivationBackwardJob job, int64_t rows_per_block) {
  using P = ParameterOf<E>;
  const Place place(job, rows_per_block);
  P bias[kPacket], sums[kPacket] = {}, gate_sums[kPacket] = {};
  LoadOptional(static_cast<const P*>(job.bias), place.column, place.count, bias);
  RowMasks masks(job.mask);
  for (int64_t row = place.begin; row < place.end; ++row) {
    const int64_t offset = row * job.width + place.column, input = row * place.input_width + place.column;
    P value[kPacket], d[kPacket];
    LoadInput<E>(job, place, row, 0, bias, value);
    LoadPacket(static_cast<const E*>(job.d_out) + offset, place.count, d);
    masks.Apply(row, job.width, place.column, d);
    P d_gate[kPacket], gate[kPacket];
    if (job.gated) {
      P gate_bias[kPacket];
      LoadOptional(static_cast<const P*>(job.bias), job.width + place.column, place.count, gate_bias);
      LoadInput<E>(job, place, row, job.width, gate_bias, gate);
    }
#pragma unroll
    for (int i = 0; i < kPacket; ++i) {
      P derivative;
      Evaluate<kind>(value[i], value[i], derivative);
      if (job.gated) {
        d_gate[i] = d[i] * value[i];
        derivative *= gate[i];
        value[i] *= gate[i];
        gate_sums[i] += d_gate[i];
      }
      d[i] *= derivative;
      sums[i] += d[i];
    }
    StorePacket(d, place.count, static_cast<E*>(job.d_x) + input);
    if (job.gated) StorePacket(d_gate, place.count, static_cast<E*>(job.d_x) + input + job.width);
    if (job.out == nullptr) continue;
    masks.Apply(row, job.width, place.column, value);
    StorePacket(value, place.count, static_cast<E*>(job.out) + offset);
  }
  if (job.partial == nullptr) return;
  P* own = static_cast<P*>(job.partial) + blockIdx.y * place.input_width + place.column;
  StorePacket(sums, place.count, own);
  if (job.gated) StorePacket(gate_sums, place.count, own + job.width);
}

dim3 GridOf(const ActivationJob& job, int64_t row_blocks) {
  return dim3(static_cast<unsigned>((job.width + kStripe - 1) / kStripe), static_cast<unsigned>(row_blocks));
}

template <typename E, ActivationKind kind>
int Run(const ActivationJob& job, cudaStream_t stream) {
  const int64_t per_block = (job.rows + kForwardBlocks - 1) / kForwardBlocks;
  return Launch(ActivateKernel<E, kind>, GridOf(job, (job.rows + per_block - 1) / per_block), kThreads, 0, stream, job,
                per_block);
}

template <typename E, ActivationKind kind>
int Run(const ActivationBackwardJob& job, cudaStream_t stream) {
  const cudaError_t error = Launch(ActivateBackwardKernel<E, kind>, GridOf(job, PartialRows(job.rows)), kThreads, 0,
                                   stream, job, RowsPerPartial(job.rows));
  if (error != cudaSuccess || job.partial == nullptr) return error;
  const SumTargets target{{job.d_bias}, {job.gated ? 2 * job.width : job.width}};
  return AddPartialSums(job.element, job.partial, PartialRows(job.rows), target, stream);
}

template <typename Job>
int RunAny(const Job& job, void* stream) {
  if (job.rows == 0 || job.width == 0) return cudaSuccess;
  const auto run = [&](auto zero) -> int {
    using E = decltype(zero);
    const auto on = static_cast<cudaStream_t>(stream);
    switch (job.kind) {
      case ActivationKind::kGelu:
        return Run<E, ActivationKind::kGelu>(job, on);
      case ActivationKind::kGeluTanh:
        return Run<E, ActivationKind::kGeluTanh>(job, on);
      case ActivationKind::kRelu:
        return Run<E, ActivationKind::kRelu>(job, on);
      case ActivationKind::kSilu:
        return Run<E, ActivationKind::kSilu>(job, on);
      case ActivationKind::kTanh:
        return Run<E, ActivationKind::kTanh>(job, on);
    }
    return cudaErrorInvalidValue;
  };
  MUSTER_WITH_ELEMENT(job.element, run);
}

}  // namespace

int Activate(const ActivationJob& job, void* stream) { return RunAny(job, stream); }
int ActivateBackward(const ActivationBackwardJob& job, void* stream) { return RunAny(job, stream); }

}  // namespace muster::cuda
