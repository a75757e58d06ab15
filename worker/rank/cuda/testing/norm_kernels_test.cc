// norm_kernels.cu on the host, against the definitions of worker/rank/model/encoder_ops.h in float64.
#include "worker/rank/cuda/norm_kernels.h"

#include "worker/rank/cuda/testing/kernel_cases.h"

namespace muster::cuda {
namespace {

constexpr double kEpsilon = 1e-5;

struct Case {
  int64_t rows, width;
  NormKind kind;
  uint32_t threshold;
  bool with_optional;  // biases, residual, gradient of the sum
};
// Widths that are not multiples of a packet, of one warp, and of several; more rows than blocks with separate sums.
const std::vector<Case> kCases = {
    {1, 1, NormKind::kLayerNorm, 0, false},      {5, 7, NormKind::kLayerNorm, 6554, true},
    {19, 8, NormKind::kRmsNorm, 6554, true},     {37, 96, NormKind::kLayerNorm, 6554, true},
    {11, 333, NormKind::kLayerNorm, 6554, true}, {3, 768, NormKind::kRmsNorm, 0, false},
    {9, 1030, NormKind::kLayerNorm, 13107, true},     {2100, 5, NormKind::kLayerNorm, 655, true}};

template <typename E>
class NormKernels : public testing::Test {
 protected:
  using P = ParameterOfCase<E>;
  struct Inputs {
    explicit Inputs(const Case& c)
        : sequences(c.rows), mask(sequences.Mask(c.threshold)), product(RandomNumbers<E>(c.rows * c.width, 1)),
          residual(RandomNumbers<E>(c.rows * c.width, 2, 3)), weight(RandomNumbers<P>(c.width, 3)),
          bias(RandomNumbers<P>(c.width, 4)), product_bias(RandomNumbers<P>(c.width, 5)),
          d_out(RandomNumbers<E>(c.rows * c.width, 6)), d_before(RandomNumbers<E>(c.rows * c.width, 7)) {}
    void Fill(const Case& c, NormJob& job) const {
      job.element = kElementOf<E>, job.rows = c.rows, job.width = c.width, job.kind = c.kind;
      if (c.kind != NormKind::kNone) job.weight = weight.data();
      if (c.with_optional && c.kind != NormKind::kNone) job.bias = bias.data();
      job.epsilon = kEpsilon, job.mask = mask;
    }
    Sequences sequences;
    RowsMask mask;
    std::vector<E> product, residual;
    std::vector<P> weight, bias, product_bias;
    std::vector<E> d_out, d_before;
  };

  // Mean and 1 / deviation.
  static std::pair<double, double> Statistics(const double* x, const Case& c) {
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < c.width; ++i) mean += x[i] / static_cast<double>(c.width);
    if (c.kind == NormKind::kRmsNorm) mean = 0;
    for (int64_t i = 0; i < c.width; ++i) squares += (x[i] - mean) * (x[i] - mean);
    return {mean, 1 / std::sqrt(squares / static_cast<double>(c.width) + kEpsilon)};
  }

  // out = norm(x), and statistics.
  static void Normalize(const Case& c, const Inputs& in, const std::vector<double>& x, std::vector<double>& out,
                        std::vector<double>& statistics) {
    for (int64_t r = 0; r < c.rows; ++r) {
      const auto [mean, inverse] = Statistics(&x[r * c.width], c);
      statistics.push_back(mean);
      statistics.push_back(inverse);
      for (int64_t i = 0; i < c.width; ++i) {
        out.push_back((x[r * c.width + i] - mean) * inverse * in.weight[i] + (c.with_optional ? in.bias[i] : 0));
      }
    }
  }

  // The gradient of the norm's input for the gradients `d` of its output, and the column sums of both parameters.
  static std::vector<double> NormBackward(const Case& c, const Inputs& in, const std::vector<double>& x,
                                          const std::vector<double>& d, std::vector<double>& d_weight,
                                          std::vector<double>& d_bias) {
    std::vector<double> d_x(x.size());
    d_weight.assign(c.width, 0), d_bias.assign(c.width, 0);
    for (int64_t r = 0; r < c.rows; ++r) {
      const auto [mean, inverse] = Statistics(&x[r * c.width], c);
      double mean_d = 0, mean_product = 0;
      for (int64_t i = 0; i < c.width; ++i) {
        const double normed = (x[r * c.width + i] - mean) * inverse, own = d[r * c.width + i];
        d_weight[i] += own * normed;
        d_bias[i] += own;
        mean_d += own * in.weight[i] / static_cast<double>(c.width);
        mean_product += own * in.weight[i] * normed / static_cast<double>(c.width);
      }
      if (c.kind == NormKind::kRmsNorm) mean_d = 0;
      for (int64_t i = 0; i < c.width; ++i) {
        const double normed = (x[r * c.width + i] - mean) * inverse;
        d_x[r * c.width + i] = inverse * (d[r * c.width + i] * in.weight[i] - mean_d - normed * mean_product);
      }
    }
    return d_x;
  }

  static std::vector<double> Sum(const Case& c, const Inputs& in) {
    std::vector<double> sum;
    for (int64_t i = 0; i < c.rows * c.width; ++i) {
      const double x = static_cast<double>(in.product[i]) + (c.with_optional ? in.product_bias[i % c.width] : 0);
      const double kept = x * MaskFactor(in.mask, i / c.width, c.width, i % c.width);
      sum.push_back(Rounded<E>((c.with_optional ? static_cast<double>(in.residual[i]) : 0) + kept));
    }
    return sum;
  }
};
using Elements = testing::Types<float, double, __nv_bfloat16>;
TYPED_TEST_SUITE(NormKernels, Elements);

TYPED_TEST(NormKernels, AddNormIsItsDefinitionInEveryOrder) {
  using E = TypeParam;
  using P = typename TestFixture::P;
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.width << ", kind " << static_cast<int>(c.kind));
    const typename TestFixture::Inputs in(c);
    const std::vector<double> expected_sum = this->Sum(c, in);
    std::vector<E> first;
    host_cuda::InEveryOrder([&] {
      auto sum = Unwritten<E>(c.rows * c.width), out = sum;
      auto statistics = Unwritten<P>(c.rows * 2);
      AddNormJob job;
      in.Fill(c, job);
      job.product = in.product.data(), job.sum = sum.data();
      if (c.with_optional) job.product_bias = in.product_bias.data(), job.residual = in.residual.data();
      job.statistics = statistics.data(), job.out = out.data();
      ASSERT_EQ(AddNorm(job, nullptr), cudaSuccess);
      EXPECT_CLOSE(sum, expected_sum, kBoundOf<E>);
      // The norm reads the stored, rounded sum.
      std::vector<double> stored(sum.begin(), sum.end()), expected_out, expected_statistics;
      this->Normalize(c, in, stored, expected_out, expected_statistics);
      EXPECT_CLOSE(out, expected_out, kBoundOf<E>);
      EXPECT_CLOSE(statistics, expected_statistics, kSumBoundOf<P>);
      if (first.empty()) first = out;
      EXPECT_TRUE(SameBytes(out, first));
    });
  }
}

TYPED_TEST(NormKernels, AddNormBackwardIsTheDerivativeInEveryOrder) {
  using E = TypeParam;
  using P = typename TestFixture::P;
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.width << ", kind " << static_cast<int>(c.kind));
    const typename TestFixture::Inputs in(c);
    const std::vector<double> x = this->Sum(c, in), d(in.d_out.begin(), in.d_out.end());
    const std::vector<E> sum(x.begin(), x.end());
    std::vector<double> d_weight(c.width), d_bias(c.width), d_product_bias(c.width), statistics_of, out;
    std::vector<double> d_sum = this->NormBackward(c, in, x, d, d_weight, d_bias), d_product;
    this->Normalize(c, in, x, out, statistics_of);
    for (size_t i = 0; i < d_sum.size(); ++i) {
      if (c.with_optional) d_sum[i] += static_cast<double>(in.d_before[i]);
      d_product.push_back(d_sum[i] * MaskFactor(in.mask, i / c.width, c.width, i % c.width));
      d_product_bias[i % c.width] += d_product[i];
    }
    for (int64_t i = 0; i < c.width; ++i) d_weight[i] += 1, d_bias[i] += 2, d_product_bias[i] += 3;  // the earlier content
    const std::vector<P> statistics(statistics_of.begin(), statistics_of.end());
    std::vector<P> first;
    host_cuda::InEveryOrder([&] {
      auto own_sum = Unwritten<E>(c.rows * c.width), own_product = own_sum, own_out = own_sum;
      auto partial = Unwritten<P>(PartialRows(c.rows) * 3 * c.width);
      std::vector<P> own_weight(c.width, 1), own_bias(c.width, 2), own_product_bias(c.width, 3);
      AddNormBackwardJob job;
      in.Fill(c, job);
      job.d_out = in.d_out.data();
      job.sum = sum.data(), job.statistics = statistics.data();
      if (c.with_optional) job.d_sum_before = in.d_before.data();
      job.d_sum = own_sum.data(), job.d_product = own_product.data(), job.out = own_out.data();
      job.sums = {partial.data(), own_weight.data(), own_bias.data(), own_product_bias.data()};
      ASSERT_EQ(AddNormBackward(job, nullptr), cudaSuccess);
      EXPECT_CLOSE(own_sum, d_sum, kBoundOf<E>);
      EXPECT_CLOSE(own_out, out, kBoundOf<E>);
      // In bfloat16 the mask is applied to the rounded sum, whose error averages out over a column.
      EXPECT_CLOSE(own_product, d_product, 2 * kBoundOf<E>);
      EXPECT_CLOSE(own_weight, d_weight, kSumBoundOf<P>);
      EXPECT_CLOSE(own_bias, d_bias, kSumBoundOf<P>);
      EXPECT_CLOSE(own_product_bias, d_product_bias, std::max(kBoundOf<E>, kSumBoundOf<P>));
      if (first.empty()) first = own_weight;
      EXPECT_TRUE(SameBytes(own_weight, first));
    });
  }
}

// Only the gradients of the rows, in place, as the encoder computes them when it keeps as little memory as possible.
TYPED_TEST(NormKernels, ABackwardInPlaceGivesTheSameRows) {
  using E = TypeParam;
  using P = typename TestFixture::P;
  const Case c{6, 40, NormKind::kLayerNorm, 6554, true};
  const typename TestFixture::Inputs in(c);
  const auto statistics = RandomNumbers<P>(2 * c.rows, 10);
  const auto run = [&](const E* d_out, const E* before, E* d_sum, E* d_product) {
    AddNormBackwardJob job;
    in.Fill(c, job);
    job.sum = in.product.data(), job.statistics = statistics.data();
    job.d_out = d_out, job.d_sum_before = before, job.d_sum = d_sum, job.d_product = d_product;
    ASSERT_EQ(AddNormBackward(job, nullptr), cudaSuccess);
  };
  auto d_sum = Unwritten<E>(c.rows * c.width), d_product = d_sum, again = d_sum;
  run(in.d_out.data(), in.d_before.data(), d_sum.data(), d_product.data());
  std::vector<E> over_out = in.d_out, over_before = in.d_before;
  run(over_out.data(), in.d_before.data(), over_out.data(), nullptr);
  run(in.d_out.data(), over_before.data(), over_before.data(), again.data());
  EXPECT_TRUE(SameBytes(over_out, d_sum));
  EXPECT_TRUE(SameBytes(over_before, d_sum));
  EXPECT_TRUE(SameBytes(again, d_product));
}

TYPED_TEST(NormKernels, EmbedNormAndItsBackward) {
  using E = TypeParam;
  using P = typename TestFixture::P;
  std::vector<Case> cases = kCases;
  cases.push_back({9, 30, NormKind::kNone, 13107, true});
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.width << ", kind " << static_cast<int>(c.kind));
    const typename TestFixture::Inputs in(c);
    const auto words = RandomNumbers<P>(11 * c.width, 8), places = RandomNumbers<P>(5 * c.width, 9);
    std::vector<int64_t> tokens, positions;
    std::vector<double> x;
    for (int64_t r = 0; r < c.rows; ++r) {
      tokens.push_back(r * 7 % 11);
      positions.push_back(r % 5);
      for (int64_t i = 0; i < c.width; ++i) {
        x.push_back(static_cast<double>(words[tokens[r] * c.width + i]) +
                    (c.with_optional ? static_cast<double>(places[positions[r] * c.width + i]) + in.product_bias[i] : 0));
      }
    }
    std::vector<double> normed = x, statistics, d_masked, d_sum, d_weight(c.width), d_bias(c.width), d_type(c.width);
    if (c.kind != NormKind::kNone) normed.clear(), this->Normalize(c, in, x, normed, statistics);
    for (int64_t i = 0; i < c.rows * c.width; ++i) {
      const double factor = MaskFactor(in.mask, i / c.width, c.width, i % c.width);
      normed[i] *= factor;
      d_masked.push_back(static_cast<double>(in.d_out[i]) * factor);
    }
    d_sum = c.kind == NormKind::kNone ? d_masked : this->NormBackward(c, in, x, d_masked, d_weight, d_bias);
    for (int64_t i = 0; i < c.rows * c.width; ++i) d_type[i % c.width] += d_sum[i];

    const auto fill = [&](EmbeddingJob& job) {
      in.Fill(c, job);
      job.words = words.data(), job.tokens = tokens.data();
      if (c.with_optional) job.places = places.data(), job.positions = positions.data(), job.type = in.product_bias.data();
    };
    host_cuda::InEveryOrder([&] {
      auto out = Unwritten<E>(c.rows * c.width);
      auto own_statistics = Unwritten<P>(2 * c.rows), own_sum = Unwritten<P>(c.rows * c.width);
      auto partial = Unwritten<P>(PartialRows(c.rows) * 3 * c.width);
      EmbedNormJob job;
      fill(job);
      job.statistics = own_statistics.data(), job.out = out.data();
      ASSERT_EQ(EmbedNorm(job, nullptr), cudaSuccess);
      EXPECT_CLOSE(out, normed, kBoundOf<E>);
      EmbedNormBackwardJob back;
      fill(back);
      std::vector<P> own_weight(c.width), own_bias(c.width), own_type(c.width);
      back.d_out = in.d_out.data(), back.statistics = own_statistics.data(), back.d_sum = own_sum.data();
      back.sums = {partial.data(), own_weight.data(), own_bias.data(), own_type.data()};
      ASSERT_EQ(EmbedNormBackward(back, nullptr), cudaSuccess);
      EXPECT_CLOSE(own_sum, d_sum, kSumBoundOf<P>);
      EXPECT_CLOSE(own_weight, d_weight, kSumBoundOf<P>);
      EXPECT_CLOSE(own_bias, d_bias, kSumBoundOf<P>);
      EXPECT_CLOSE(own_type, d_type, kSumBoundOf<P>);
    });
  }
}

TYPED_TEST(NormKernels, WhatNoKernelDoesIsRefused) {
  AddNormJob job;
  job.element = kElementOf<TypeParam>, job.rows = 1, job.width = kMostNormWidth + 1;
  job.kind = NormKind::kLayerNorm;
  EXPECT_EQ(AddNorm(job, nullptr), cudaErrorInvalidValue);
  job.width = 8, job.kind = NormKind::kNone;
  EXPECT_EQ(AddNorm(job, nullptr), cudaErrorInvalidValue) << "a sum without a norm is not an operation";
}

}  // namespace
}  // namespace muster::cuda
