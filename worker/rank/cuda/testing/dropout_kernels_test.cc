// dropout_kernels.cu on the host, against the definition in worker/rank/model/dropout.h.
#include "worker/rank/cuda/dropout_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/random.h"
#include "worker/rank/cuda/testing/host_cuda.h"

namespace muster::cuda {
namespace {

constexpr uint32_t kThreshold = 13107;  // 0.2 of 65536

template <typename T>
constexpr Element kElement = Element::kFloat;
template <>
constexpr Element kElement<double> = Element::kDouble;
template <>
constexpr Element kElement<__nv_bfloat16> = Element::kBfloat16;

template <typename T>
using ArithmeticOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename T>
T Masked(const MaskJob& job, uint64_t key, int64_t element, T x) {
  using A = ArithmeticOf<T>;
  const uint64_t block = static_cast<uint64_t>(element) / 8;
  const auto words = Philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0},
                            MixKey(MixKey(key, job.layer), job.site));
  const uint32_t decision = words[element % 8 / 2] >> (element % 2 * 16) & 0xffff;
  return static_cast<T>(static_cast<A>(x) * (decision < job.threshold ? A{0} : static_cast<A>(job.scale)));
}

template <typename T>
class DropoutKernel : public testing::Test {};
using Elements = testing::Types<float, double, __nv_bfloat16>;
TYPED_TEST_SUITE(DropoutKernel, Elements);

// Compares every element, at sizes that are not multiples of a packet or block. Data begins `shift` elements past an aligned
// address.
TYPED_TEST(DropoutKernel, DrawsTheMaskOfItsDefinition) {
  using T = TypeParam;
  constexpr int64_t kSequences = 5;
  for (const int64_t width : {1, 7, 8, 104, 333, 4133}) {
    for (const int shift : {0, 1}) {
      std::vector<int64_t> keys(kSequences);
      for (size_t s = 0; s < keys.size(); ++s) keys[s] = static_cast<int64_t>(0x9e3779b97f4a7c15 * (s + 3));
      std::vector<T> x(kSequences * width + shift), out(x.size());
      CounterRandom random(width);
      for (T& value : x) value = static_cast<T>(static_cast<float>(random.Uniform() - 0.5));
      MaskJob job{.element = kElement<T>, .x = x.data() + shift, .out = out.data() + shift, .keys = keys.data(),
                  .sequences = kSequences, .width = width, .layer = 5, .site = 2, .threshold = kThreshold,
                  .scale = 65536.0 / (65536 - kThreshold)};
      host_cuda::InEveryOrder([&] {
        ASSERT_EQ(ApplyMask(job, nullptr), cudaSuccess);
        int64_t differing = 0;
        for (int64_t i = 0; i < kSequences * width; ++i) {
          const T expected = Masked<T>(job, static_cast<uint64_t>(keys[i / width]), i % width, x[i + shift]);
          differing += static_cast<double>(out[i + shift]) != static_cast<double>(expected);
        }
        EXPECT_EQ(differing, 0) << "width " << width << ", shift " << shift;
      });
    }
  }
}

// The probabilities of a run are masked in place.
TYPED_TEST(DropoutKernel, MasksInPlace) {
  using T = TypeParam;
  const int64_t sequences = 3, width = 3 * 13 * 13;
  const std::vector<int64_t> keys = {1, -2, 3};
  std::vector<T> x(sequences * width, static_cast<T>(1.0f)), out = x;
  MaskJob job{.element = kElement<T>, .x = out.data(), .out = out.data(), .keys = keys.data(), .sequences = sequences,
              .width = width, .layer = 1, .site = 3, .threshold = kThreshold, .scale = 1.25};
  ASSERT_EQ(ApplyMask(job, nullptr), cudaSuccess);
  int64_t dropped = 0;
  for (int64_t i = 0; i < sequences * width; ++i) {
    const T expected = Masked<T>(job, static_cast<uint64_t>(keys[i / width]), i % width, x[i]);
    ASSERT_EQ(static_cast<double>(out[i]), static_cast<double>(expected)) << i;
    dropped += static_cast<double>(out[i]) == 0;
  }
  EXPECT_NEAR(static_cast<double>(dropped) / (sequences * width), 0.2, 0.05);
}

}  // namespace
}  // namespace muster::cuda
