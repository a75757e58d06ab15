// The encoder's row operations, with their kernels on the host, against the CPU's.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "worker/rank/cuda/cuda_encoder_ops.h"
#include "worker/rank/cuda/testing/host_plan.h"

namespace muster {
namespace {

const std::vector<int64_t> kLengths = {1, 2, 2, 3, 17, 17, 40};
constexpr at::ScalarType kTypes[] = {at::kFloat, at::kDouble, at::kBFloat16};

at::ScalarType ParameterOf(at::ScalarType type) { return type == at::kDouble ? at::kDouble : at::kFloat; }

// A result is rounded to its type once, from numbers that differ by the rounding of the arithmetic.
double BoundOf(const at::Tensor& result) {
  return result.scalar_type() == at::kDouble ? 1e-12 : result.scalar_type() == at::kFloat ? 2e-5 : 0.008;
}

// The results of one operation, in order.
using Results = std::vector<at::Tensor>;

template <typename Operation>
void Compare(const std::string& what, const Operation& operation) {
  const Results own = operation(CudaEncoderOps()), expected = operation(EncoderOpsOf(at::kCPU));
  for (size_t i = 0; i < own.size(); ++i) {
    const at::Tensor a = own[i].to(at::kDouble), b = expected[i].to(at::kDouble);
    const double scale = std::max(1e-30, b.square().mean().sqrt().item<double>());
    const double worst = ((a - b).abs() / b.abs().clamp_min(scale)).max().item<double>();
    EXPECT_LE(worst, BoundOf(own[i])) << what << ", result " << i << " of " << own[i].scalar_type();
  }
}

class CudaEncoderOpsTest : public testing::Test {
 protected:
  RowMask Mask(double rate) const { return {DropoutRate(rate), {2, DropoutSite::kFeedForward}}; }
  Norm NormOf(int64_t width, at::ScalarType type, bool rms) const {
    return {.weight = RandomTensor({width}, ParameterOf(type), 11),
            .bias = rms ? at::Tensor() : RandomTensor({width}, ParameterOf(type), 12), .epsilon = 1e-5, .rms = rms};
  }
  static NormGradients GradientsOf(int64_t width, at::ScalarType type) {
    return {.weight = at::zeros({width}, ParameterOf(type)), .bias = at::zeros({width}, ParameterOf(type)),
            .product_bias = at::zeros({width}, ParameterOf(type))};
  }
  const SequencePlanPtr plan_ = HostPlan(kLengths);
};

TEST_F(CudaEncoderOpsTest, NormsOfEmbeddingsAreTheCpus) {
  for (const at::ScalarType type : kTypes) {
    for (const int64_t width : {7, 64, 104}) {
      const at::ScalarType p = ParameterOf(type);
      std::vector<int64_t> tokens, positions;
      for (int64_t t = 0; t < plan_->rows; ++t) tokens.push_back(t * 5 % 23), positions.push_back(t % 40);
      const EmbeddingTables tables{.words = RandomTensor({23, width}, p, 1), .tokens = IndicesOn(at::kCPU, tokens),
                                   .position_table = RandomTensor({40, width}, p, 2),
                                   .positions = IndicesOn(at::kCPU, positions),
                                   .type_row = RandomTensor({width}, p, 3)};
      Compare("embeddings", [&](const EncoderOps& ops) -> Results {
        at::Tensor statistics = at::empty({plan_->rows, 2}, p), out = at::empty({plan_->rows, width}, type);
        const Norm norm = NormOf(width, type, /*rms=*/false);
        ops.EmbedNorm(tables, norm, Mask(0.1), *plan_, statistics, out);
        at::Tensor d_sum = at::empty({plan_->rows, width}, p);
        const NormGradients gradients = GradientsOf(width, type);
        ops.EmbedNormBackward(RandomTensor({plan_->rows, width}, type, 4), tables, norm, Mask(0.1), *plan_, statistics,
                              d_sum, gradients);
        at::Tensor table = RandomTensor({23, width}, p, 5);
        ops.AddToRows(d_sum, tables.tokens, table);
        return {statistics, out, d_sum, gradients.weight, gradients.bias, gradients.product_bias, table};
      });
    }
  }
}

TEST_F(CudaEncoderOpsTest, SumsAndTheirNormsAreTheCpus) {
  for (const at::ScalarType type : kTypes) {
    for (const int64_t width : {7, 64, 104}) {
      for (const bool rms : {false, true}) {
        Compare("a sum and its norm", [&](const EncoderOps& ops) -> Results {
          const auto rows = [&](uint64_t seed) { return RandomTensor({plan_->rows, width}, type, seed); };
          const Norm norm = NormOf(width, type, rms);
          at::Tensor sum = at::empty_like(rows(1)), out = at::empty_like(sum);
          at::Tensor statistics = at::empty({plan_->rows, 2}, ParameterOf(type));
          ops.AddNorm(rows(1), RandomTensor({width}, ParameterOf(type), 2), rows(3), norm, Mask(0.1), *plan_, sum,
                      statistics, out);
          at::Tensor d_sum = at::empty_like(sum), d_product = at::empty_like(sum), again = at::empty_like(sum);
          const NormGradients gradients = GradientsOf(width, type);
          ops.AddNormBackward(rows(4), rows(5), sum, statistics, norm, Mask(0.1), *plan_, d_sum, d_product, gradients,
                              again);
          EXPECT_TRUE(at::equal(again, out)) << "the forward's output again";
          Results results = {sum, out, statistics, d_sum, d_product};
          // In bfloat16 the bias's gradient sums rows that were rounded: float32 numbers with bfloat16's errors.
          results.push_back(gradients.product_bias.to(type));
          results.push_back(gradients.weight);
          if (!rms) results.push_back(gradients.bias);
          return results;
        });
      }
    }
  }
}

TEST_F(CudaEncoderOpsTest, ActivationsAreTheCpus) {
  for (const at::ScalarType type : kTypes) {
    for (const Activation activation : {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kSilu,
                                        Activation::kTanh}) {
      for (const bool gated : {false, true}) {
        Compare("an activation", [&](const EncoderOps& ops) -> Results {
          const int64_t width = 51, inputs = gated ? 2 * width : width;
          const at::Tensor x = RandomTensor({plan_->rows, inputs}, type, 1) * 4;
          const at::Tensor bias = RandomTensor({inputs}, ParameterOf(type), 2);
          at::Tensor out = at::empty({plan_->rows, width}, type), again = at::empty_like(out);
          ops.Activate(x, bias, activation, gated, Mask(0.1), *plan_, out);
          at::Tensor d_x = at::empty_like(x), d_bias = at::zeros({inputs}, ParameterOf(type));
          ops.ActivateBackward(RandomTensor({plan_->rows, width}, type, 3), x, bias, activation, gated, Mask(0.1),
                               *plan_, d_x, d_bias, again);
          EXPECT_TRUE(at::equal(out, again));
          return {out, d_x, d_bias};
        });
      }
    }
  }
}

TEST_F(CudaEncoderOpsTest, PoolingAndColumnSumsAreTheCpus) {
  for (const at::ScalarType type : kTypes) {
    for (const PoolingMode mode : {PoolingMode::kCls, PoolingMode::kLast, PoolingMode::kMean, PoolingMode::kMax,
                                   PoolingMode::kWeightedMean, PoolingMode::kMeanSqrtLength}) {
      for (const bool with_prompt : {false, true}) {
        const SequencePlanPtr plan =
            HostPlan(kLengths, with_prompt ? std::vector<int64_t>{1, 1, 0, 2, 5, 99, 3} : std::vector<int64_t>{});
        Compare("pooling", [&](const EncoderOps& ops) -> Results {
          const int64_t width = 37, count = static_cast<int64_t>(kLengths.size());
          const at::Tensor hidden = RandomTensor({plan->rows, width}, type, 1);
          at::Tensor places = mode == PoolingMode::kMax ? at::empty({count, width}, at::kInt) : at::Tensor();
          at::Tensor out = at::empty({count, width}, ParameterOf(type)), d_hidden = at::empty_like(hidden);
          ops.Pool(hidden, mode, *plan, places, out);
          ops.PoolBackward(RandomTensor({count, width}, ParameterOf(type), 2), mode, *plan, places, d_hidden);
          Results results = {out, d_hidden};
          std::vector<at::Tensor> sums = {at::zeros({20}, ParameterOf(type)), at::zeros({17}, ParameterOf(type))};
          ops.AddColumnSums(hidden, sums);
          results.insert(results.end(), sums.begin(), sums.end());
          if (places.defined()) results.push_back(places);
          return results;
        });
      }
    }
  }
}

TEST_F(CudaEncoderOpsTest, TensorsThatDoNotMatchAreRefused) {
  at::Tensor rows = at::zeros({plan_->rows, 8}), wide = at::zeros({plan_->rows, 9}), out = at::empty_like(rows), none;
  const Norm norm = NormOf(8, at::kFloat, false);
  EXPECT_THROW(CudaEncoderOps().AddNorm(rows, {}, wide, norm, Mask(0.1), *plan_, out, none, out), c10::Error);
  EXPECT_THROW(CudaEncoderOps().AddNorm(rows, {}, {}, {}, Mask(0.1), *plan_, out, none, out), c10::Error);
  EXPECT_THROW(CudaEncoderOps().AddNorm(rows.t(), {}, {}, norm, Mask(0), *plan_, out, none, out), c10::Error);
  std::vector<at::Tensor> sums = {at::zeros({3})};
  EXPECT_THROW(CudaEncoderOps().AddColumnSums(rows, sums), c10::Error);
}

}  // namespace
}  // namespace muster
