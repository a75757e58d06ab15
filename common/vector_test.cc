#include "common/vector.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "common/random.h"

namespace muster {
namespace {

MUSTER_VECTOR_CLONES void ExpOf(float* x, int64_t size) {
  Floats v;
  for (int64_t i = 0; i < size; i += kLanes) {
    Load(x + i, v);
    Exp(v);
    Store(v, x + i);
  }
}
MUSTER_VECTOR_CLONES void ErfOf(float* x, int64_t size) {
  Floats v;
  for (int64_t i = 0; i < size; i += kLanes) {
    Load(x + i, v);
    Erf(v);
    Store(v, x + i);
  }
}
MUSTER_VECTOR_CLONES void TanhOf(float* x, int64_t size) {
  Floats v;
  for (int64_t i = 0; i < size; i += kLanes) {
    Load(x + i, v);
    Tanh(v);
    Store(v, x + i);
  }
}
MUSTER_VECTOR_CLONES void NormalOf(const float* x, int64_t size, float* distribution, float* density) {
  Floats v, d, e;
  for (int64_t i = 0; i < size; i += kLanes) {
    Load(x + i, v);
    Normal(v, d, e);
    Store(d, distribution + i);
    Store(e, density + i);
  }
}
MUSTER_VECTOR_CLONES void BlocksOf(uint64_t key, uint64_t first, uint32_t* out) { PhiloxBlocks(key, first, out); }

// Every 997th float32 of both signs from the smallest normal number to beyond the range.
std::vector<float> AllMagnitudes(float largest) {
  std::vector<float> x;
  uint32_t end;
  __builtin_memcpy(&end, &largest, sizeof(end));
  for (uint32_t bits = 0x00800000; bits <= end; bits += 997) {
    float value;
    __builtin_memcpy(&value, &bits, sizeof(value));
    x.push_back(value);
    x.push_back(-value);
  }
  x.push_back(0);
  x.resize((x.size() + kLanes - 1) / kLanes * kLanes, 0);
  return x;
}

// The error in units in the last place of the exact value's float32.
template <typename Exact>
double LargestError(void (*run)(float*, int64_t), const std::vector<float>& x, const Exact& exact) {
  std::vector<float> y = x;
  run(y.data(), static_cast<int64_t>(y.size()));
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(static_cast<double>(x[i]));
    const float nearest = std::abs(static_cast<float>(expected));
    const double unit =
        std::max<double>(std::nextafter(nearest, INFINITY) - nearest, std::numeric_limits<float>::denorm_min());
    largest = std::max(largest, std::abs(y[i] - expected) / unit);
  }
  std::printf("largest error %.2f units in the last place\n", largest);
  return largest;
}

TEST(Vector, ExpErfAndTanhKeepTheirErrorBoundsOverTheWholeRange) {
  EXPECT_LE(LargestError(ExpOf, AllMagnitudes(87.2f), [](double x) { return std::exp(x); }), 2);
  EXPECT_LE(LargestError(ErfOf, AllMagnitudes(1e30f), [](double x) { return std::erf(x); }), 6);
  EXPECT_LE(LargestError(TanhOf, AllMagnitudes(1e30f), [](double x) { return std::tanh(x); }), 6);
}

TEST(Vector, ErfAndTanhStayWithinOne) {
  std::vector<float> erf = AllMagnitudes(1e30f), tanh = erf;
  ErfOf(erf.data(), static_cast<int64_t>(erf.size()));
  TanhOf(tanh.data(), static_cast<int64_t>(tanh.size()));
  for (const float y : erf) ASSERT_LE(std::abs(y), 1.0f);
  for (const float y : tanh) ASSERT_LE(std::abs(y), 1.0f);
}

TEST(Vector, NormalIsTheDistributionAndItsDensity) {
  std::vector<float> x;
  for (int64_t i = -16000; i < 16000; ++i) x.push_back(static_cast<float>(i) * 1e-3f);
  std::vector<float> distribution(x.size()), density(x.size());
  NormalOf(x.data(), static_cast<int64_t>(x.size()), distribution.data(), density.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = x[i];
    EXPECT_NEAR(distribution[i], 0.5 * std::erfc(-value * M_SQRT1_2), 2e-7);
    EXPECT_NEAR(density[i], std::exp(-0.5 * value * value) / std::sqrt(2 * M_PI), 2e-7);
  }
}

TEST(Vector, PartialVectorsTouchOnlyTheirPart) {
  std::vector<float> x(kLanes, 3.0f);
  Floats v;
  LoadPart(x.data(), 5, -1.0f, v);
  for (int64_t i = 0; i < kLanes; ++i) EXPECT_EQ(v[i], i < 5 ? 3.0f : -1.0f);
  EXPECT_EQ(SumOfLanes(v), 5 * 3.0f - 11);
  EXPECT_EQ(LargestLane(v), 3.0f);
  v += 1.0f;
  StorePart(v, 5, x.data());
  for (int64_t i = 0; i < kLanes; ++i) EXPECT_EQ(x[i], i < 5 ? 4.0f : 3.0f);
}

TEST(Vector, PhiloxBlocksAreThoseOfCounters) {
  for (const uint64_t key : {uint64_t{0}, uint64_t{0x299f31d0a4093822}, ~uint64_t{0}}) {
    for (const uint64_t first : {uint64_t{0}, uint64_t{12345}, uint64_t{0xfffffff8}, ~uint64_t{0} - 40}) {
      std::array<uint32_t, 4 * kLanes> blocks;
      BlocksOf(key, first, blocks.data());
      for (uint64_t i = 0; i < kLanes; ++i) {
        const uint64_t counter = first + i;
        const auto expected =
            Philox({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0}, key);
        for (size_t w = 0; w < 4; ++w) ASSERT_EQ(blocks[4 * i + w], expected[w]) << key << " " << counter;
      }
    }
  }
}

}  // namespace
}  // namespace muster
