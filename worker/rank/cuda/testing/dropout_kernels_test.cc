// dropout_kernels.cu on the host, against the definition in worker/rank/model/dropout.h.
#include "worker/rank/cuda/dropout_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
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
T Masked(const MaskJob& job, uint64_t key, int64_t element, T x, T residual, bool with_residual) {
  using A = ArithmeticOf<T>;
  const uint64_t block = static_cast<uint64_t>(element) / 8;
  const auto words = Philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0},
                            MixKey(MixKey(key, job.layer), job.site));
  const uint32_t decision = words[element % 8 / 2] >> (element % 2 * 16) & 0xffff;
  const A kept = static_cast<A>(x) * (decision < job.threshold ? A{0} : static_cast<A>(job.scale));
  return static_cast<T>(with_residual ? static_cast<A>(residual) + kept : kept);
}

template <typename T>
class DropoutKernel : public testing::Test {};
using Elements = testing::Types<float, double, __nv_bfloat16>;
TYPED_TEST_SUITE(DropoutKernel, Elements);

// Every element, at sizes that are not multiples of anything; `shift` elements off any alignment.
TYPED_TEST(DropoutKernel, DrawsTheMaskOfItsDefinition) {
  using T = TypeParam;
  const std::vector<int64_t> lengths = {1, 3, 2, 40, 1, 17};
  for (const int64_t width : {1, 7, 8, 104, 333}) {
    for (const int shift : {0, 1}) {
      std::vector<int64_t> first_rows(lengths.size() + 1), keys(lengths.size());
      std::partial_sum(lengths.begin(), lengths.end(), first_rows.begin() + 1);
      for (size_t s = 0; s < keys.size(); ++s) keys[s] = static_cast<int64_t>(0x9e3779b97f4a7c15 * (s + 3));
      const int64_t size = first_rows.back() * width;
      std::vector<T> x(size + shift), residual(size + shift), out(size + shift), plain(size + shift);
      CounterRandom random(width);
      for (T& value : x) value = static_cast<T>(static_cast<float>(random.Uniform() - 0.5));
      for (T& value : residual) value = static_cast<T>(static_cast<float>(random.Uniform() - 0.5));
      MaskJob job{.element = kElement<T>, .x = x.data() + shift, .residual = residual.data() + shift,
                  .out = out.data() + shift, .keys = keys.data(), .first_rows = first_rows.data(),
                  .sequences = static_cast<int64_t>(lengths.size()), .width = width, .longest = 40 * width,
                  .layer = 5, .site = 2, .threshold = kThreshold, .scale = 65536.0 / (65536 - kThreshold)};
      host_cuda::InEveryOrder([&] {
        ASSERT_EQ(ApplyMask(job, nullptr), cudaSuccess);
        int64_t differing = 0, row_sequence = 0;
        for (int64_t row = 0; row < first_rows.back(); ++row) {
          while (row >= first_rows[row_sequence + 1]) ++row_sequence;
          for (int64_t c = 0; c < width; ++c) {
            const int64_t i = row * width + c + shift;
            const T expected = Masked<T>(job, static_cast<uint64_t>(keys[row_sequence]),
                                         (row - first_rows[row_sequence]) * width + c, x[i], residual[i], true);
            differing += static_cast<double>(out[i]) != static_cast<double>(expected);
          }
        }
        EXPECT_EQ(differing, 0) << "width " << width << ", shift " << shift;
      });
    }
  }
}

// The probabilities of a run are masked in this way: sequences of one size, in place, without residual.
TYPED_TEST(DropoutKernel, MasksEqualSequencesInPlace) {
  using T = TypeParam;
  const int64_t sequences = 3, width = 3 * 13 * 13;
  const std::vector<int64_t> keys = {1, -2, 3};
  std::vector<T> x(sequences * width, static_cast<T>(1.0f)), out = x;
  MaskJob job{.element = kElement<T>, .x = out.data(), .out = out.data(), .keys = keys.data(), .sequences = sequences,
              .width = width, .longest = width, .layer = 1, .site = 3, .threshold = kThreshold, .scale = 1.25};
  ASSERT_EQ(ApplyMask(job, nullptr), cudaSuccess);
  int64_t dropped = 0;
  for (int64_t i = 0; i < sequences * width; ++i) {
    const T expected = Masked<T>(job, static_cast<uint64_t>(keys[i / width]), i % width, x[i], T{}, false);
    ASSERT_EQ(static_cast<double>(out[i]), static_cast<double>(expected)) << i;
    dropped += static_cast<double>(out[i]) == 0;
  }
  EXPECT_NEAR(static_cast<double>(dropped) / (sequences * width), 0.2, 0.05);
}

}  // namespace
}  // namespace muster::cuda
