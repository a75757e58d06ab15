#include "worker/rank/train/update_kernels.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/vector.h"

namespace muster {
namespace {

constexpr int64_t kSumLanes = 16, kSumBlock = int64_t{1} << 15;

template <typename T>
MUSTER_INLINE void AdamWBody(const AdamWFactors& factors, int64_t size, const T* gradient, T* value, T* average, T* square) {
  const T scale = static_cast<T>(factors.gradient), keep = static_cast<T>(factors.keep);
  const T beta2 = static_cast<T>(factors.beta2);
  const T towards1 = static_cast<T>(1 - factors.beta1), towards2 = static_cast<T>(1 - factors.beta2);
  const T step = static_cast<T>(factors.step), root = static_cast<T>(factors.root);
  const T epsilon = static_cast<T>(factors.epsilon);
  for (int64_t i = 0; i < size; ++i) {
    const T g = gradient[i] * scale;
    const T m = average[i] + towards1 * (g - average[i]);
    const T v = beta2 * square[i] + towards2 * g * g;
    average[i] = m;
    square[i] = v;
    value[i] = value[i] * keep - step * m / (std::sqrt(v) / root + epsilon);
  }
}

template <typename T>
MUSTER_INLINE double BlockBody(const T* values, int64_t size) {
  double lanes[kSumLanes] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= size; i += kSumLanes) {
    for (int64_t lane = 0; lane < kSumLanes; ++lane) {
      const double value = values[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (int64_t lane = 0; i < size; ++i, ++lane) lanes[lane] += static_cast<double>(values[i]) * values[i];
  for (int64_t half = kSumLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

MUSTER_VECTOR_CLONES
void AdamWFloat(const AdamWFactors& factors, int64_t size, const float* gradient, float* value, float* average,
                float* square) {
  AdamWBody(factors, size, gradient, value, average, square);
}

MUSTER_VECTOR_CLONES
void AdamWDouble(const AdamWFactors& factors, int64_t size, const double* gradient, double* value, double* average,
                 double* square) {
  AdamWBody(factors, size, gradient, value, average, square);
}

MUSTER_VECTOR_CLONES
double BlockOfFloats(const float* values, int64_t size) { return BlockBody(values, size); }

MUSTER_VECTOR_CLONES
double BlockOfDoubles(const double* values, int64_t size) { return BlockBody(values, size); }

double Block(const float* values, int64_t size) { return BlockOfFloats(values, size); }
double Block(const double* values, int64_t size) { return BlockOfDoubles(values, size); }

}  // namespace

template <>
void ApplyAdamW(const AdamWFactors& factors, int64_t size, const float* gradient, float* value, float* average,
                float* square) {
  AdamWFloat(factors, size, gradient, value, average, square);
}

template <>
void ApplyAdamW(const AdamWFactors& factors, int64_t size, const double* gradient, double* value, double* average,
                double* square) {
  AdamWDouble(factors, size, gradient, value, average, square);
}

template <typename T>
double SumOfSquares(const T* values, int64_t size) {
  std::vector<double> sums((size + kSumBlock - 1) / kSumBlock);
  at::parallel_for(0, static_cast<int64_t>(sums.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kSumBlock;
      sums[block] = Block(values + first, std::min(kSumBlock, size - first));
    }
  });
  double sum = 0;
  for (const double block : sums) sum += block;
  return sum;
}

template double SumOfSquares(const float* values, int64_t size);
template double SumOfSquares(const double* values, int64_t size);

}  // namespace muster
