// Inputs and comparisons for tests of kernels on the host.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "common/random.h"
#include "worker/rank/cuda/row_types.h"
#include "worker/rank/cuda/testing/host_cuda.h"

namespace muster::cuda {

template <typename E>
constexpr Element kElementOf = std::is_same_v<E, double>  ? Element::kDouble
                               : std::is_same_v<E, float> ? Element::kFloat
                                                          : Element::kBfloat16;
template <typename E>
using ParameterOfCase = std::conditional_t<std::is_same_v<E, double>, double, float>;

// The allowed relative error of a result that is rounded to E once. The two sides round numbers that already differ by
// rounding in float32.
template <typename E>
constexpr double kBoundOf = std::is_same_v<E, double> ? 1e-13 : std::is_same_v<E, float> ? 1e-5 : 0.0079;
template <typename P>
constexpr double kSumBoundOf = std::is_same_v<P, double> ? 1e-12 : 2e-5;

// `value`, rounded to type E.
template <typename E>
double Rounded(double value) {
  return static_cast<double>(static_cast<E>(static_cast<ParameterOfCase<E>>(value)));
}

template <typename T>
std::vector<T> RandomNumbers(int64_t count, uint64_t seed, double scale = 1) {
  CounterRandom random(seed);
  std::vector<T> numbers(count);
  for (T& number : numbers) number = static_cast<T>(static_cast<float>(scale * (2 * random.Uniform() - 1)));
  return numbers;
}
// Every bit set: elements that are not written stay NaN.
template <typename T>
std::vector<T> Unwritten(int64_t count) {
  std::vector<T> numbers(count);
  if (count > 0) std::memset(static_cast<void*>(numbers.data()), 0xff, count * sizeof(T));
  return numbers;
}

// Sequences that cover `rows`, and their keys.
struct Sequences {
  explicit Sequences(int64_t rows) {
    first_rows.push_back(0);
    for (int64_t length = 1; first_rows.back() < rows; length = length * 2 + 1) {
      first_rows.push_back(std::min(rows, first_rows.back() + length));
      keys.push_back(static_cast<int64_t>(0x9e3779b97f4a7c15 * static_cast<uint64_t>(length)));
    }
  }
  int64_t count() const { return static_cast<int64_t>(keys.size()); }
  RowsMask Mask(uint32_t threshold) const {
    return {.keys = keys.data(), .first_rows = first_rows.data(), .sequences = count(), .layer = 3, .site = 1,
            .threshold = threshold, .scale = 65536.0 / (65536 - threshold)};
  }
  std::vector<int64_t> first_rows, keys;
};

// 0 or the scale: dropout.h's definition.
inline double MaskFactor(const RowsMask& mask, int64_t row, int64_t width, int64_t column) {
  if (mask.threshold == 0) return 1;
  int64_t sequence = 0;
  while (row >= mask.first_rows[sequence + 1]) ++sequence;
  const uint64_t element = static_cast<uint64_t>((row - mask.first_rows[sequence]) * width + column);
  const auto words = Philox({static_cast<uint32_t>(element / 8), static_cast<uint32_t>(element / 8 >> 32), 0, 0},
                            MixKey(MixKey(static_cast<uint64_t>(mask.keys[sequence]), mask.layer), mask.site));
  return (words[element % 8 / 2] >> (element % 2 * 16) & 0xffff) < mask.threshold ? 0 : mask.scale;
}

// The largest |own - expected| / max(|expected|, scale of all). A NaN or a difference in size counts as infinite.
template <typename T>
double LargestError(const std::vector<T>& own, const std::vector<double>& expected) {
  if (own.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double square = 0, largest = 0;
  for (const double value : expected) square += value * value;
  const double typical = std::sqrt(square / std::max<size_t>(1, expected.size()));
  for (size_t i = 0; i < own.size(); ++i) {
    const double error = std::abs(static_cast<double>(own[i]) - expected[i]);
    if (!(error <= std::numeric_limits<double>::max())) return std::numeric_limits<double>::infinity();
    if (error > 0) largest = std::max(largest, error / std::max(std::abs(expected[i]), typical));
  }
  return largest;
}

#define EXPECT_CLOSE(own, expected, bound) \
  EXPECT_LE(::muster::cuda::LargestError(own, expected), bound) << #own

template <typename T>
bool SameBytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace muster::cuda
