#include "worker/rank/loss/streaming_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "worker/rank/loss/row.h"

namespace muster {
namespace {

LossInput Small() {
  LossInput input;
  input.queries = at::empty({3, 2});
  input.passages = at::empty({4, 2});
  for (int64_t i = 0; i < 6; ++i) input.queries.data_ptr<float>()[i] = 0.3f * i - 0.8f;
  for (int64_t i = 0; i < 8; ++i) input.passages.data_ptr<float>()[i] = 0.7f - 0.2f * i;
  input.positives = {.offsets = {0, 2, 2, 3}, .columns = {0, 2, 1}};
  input.ignored = {.offsets = {0, 1, 1, 1}, .columns = {3}};
  input.total_weight = 2;
  return input;
}

TEST(StreamingLoss, ARowWithoutPositiveAddsNothing) {
  const LossResult result = EvaluateLoss(Small());
  EXPECT_EQ(result.valid_rows, 2);
  EXPECT_EQ(result.d_queries[1].abs().max().item<float>(), 0);
  EXPECT_GT(result.d_queries[0].abs().max().item<float>(), 0);
  EXPECT_EQ(result.positive_pairs, 3);
  EXPECT_EQ(result.ignored_pairs, 1);
  EXPECT_EQ(result.negative_pairs, 1 + 3);
}

TEST(StreamingLoss, NamesTheFirstRowWithANonFiniteScore) {
  LossInput input = Small();
  input.queries[2].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(EvaluateLoss(input).first_non_finite_row, 2);
  input = Small();  // finite embeddings whose product is not
  input.queries[0].fill_(3e38f);
  input.passages[1].fill_(3e38f);
  EXPECT_EQ(EvaluateLoss(input).first_non_finite_row, 0);
}

TEST(StreamingLoss, APassageThatIsNotFiniteIsNamedAndNoQueryIsBlamed) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    LossInput input = Small();
    input.passages[2][1].fill_(value);
    input.passages[3].fill_(value);
    const LossResult result = EvaluateLoss(input);
    EXPECT_EQ(result.first_non_finite_passage, 2);
    EXPECT_EQ(result.first_non_finite_row, -1);
  }
}

TEST(StreamingLoss, AcceptsNoRows) {
  LossInput input = Small();
  input.queries = at::zeros({0, 2});
  input.positives = input.ignored = {};
  const LossResult result = EvaluateLoss(input);
  EXPECT_EQ(result.loss_sum, 0);
  EXPECT_EQ(result.first_non_finite_row, -1);
  EXPECT_EQ(result.first_non_finite_passage, -1);
  EXPECT_EQ(result.d_queries.size(0), 0);
  EXPECT_EQ(result.d_passages.abs().max().item<float>(), 0);
}

TEST(StreamingLoss, ATotalWeightOfZeroGivesZeroGradients) {
  LossInput input = Small();
  input.row_weights = {0, 1, 0};
  input.total_weight = 0;
  const LossResult result = EvaluateLoss(input);
  EXPECT_EQ(result.loss_sum, 0);
  EXPECT_EQ(result.d_queries.abs().max().item<float>(), 0);
  EXPECT_EQ(result.d_passages.abs().max().item<float>(), 0);
}

TEST(StreamingLoss, AWeightOfZeroIsLikeNoPositiveForLossAndGradient) {
  LossInput input = Small();
  input.row_weights = {1, 1, 0};
  input.total_weight = 1;
  const LossResult weighted = EvaluateLoss(input);
  input.row_weights.clear();
  input.positives = {.offsets = {0, 2, 2, 2}, .columns = {0, 2}};
  const LossResult without = EvaluateLoss(input);
  EXPECT_EQ(weighted.loss_sum, without.loss_sum);
  EXPECT_TRUE(weighted.d_queries.equal(without.d_queries));
  EXPECT_TRUE(weighted.d_passages.equal(without.d_passages));
}

TEST(StreamingLoss, ABatchWithoutAValidRowGivesZeroGradients) {
  LossInput input = Small();
  input.positives = {.offsets = {0, 0, 0, 0}, .columns = {}};
  input.total_weight = 0;
  const LossResult result = EvaluateLoss(input);
  EXPECT_EQ(result.valid_rows, 0);
  EXPECT_EQ(result.loss_sum, 0);
  EXPECT_EQ(result.d_queries.abs().max().item<float>(), 0);
  EXPECT_EQ(result.d_passages.abs().max().item<float>(), 0);
}

// One row, one positive of similarity 0.5, and columns of similarities -1, 0.5, 0.6, 0.75 and 1, of which the last is
// judged, and so neither a negative nor a false one.
TEST(StreamingLoss, APassageFarAboveTheLowestPositiveIsIgnored) {
  LossInput input;
  input.queries = at::ones({1, 1});
  input.passages = at::empty({6, 1});
  const float similarities[] = {0.5f, -1, 0.5f, 0.6f, 0.75f, 1};
  for (int64_t i = 0; i < 6; ++i) input.passages.data_ptr<float>()[i] = similarities[i];
  input.positives = {.offsets = {0, 1}, .columns = {0}};
  input.ignored = {.offsets = {0, 1}, .columns = {5}};
  input.total_weight = 1;
  input.tile_columns = 2;
  const auto ignored = [&](double margin) {
    input.false_negative_margin = margin;
    const LossResult result = EvaluateLoss(input);
    EXPECT_EQ(result.ignored_pairs + result.negative_pairs, 5);
    for (int64_t column = 1; column < 6; ++column) {
      const bool out = column == 5 || similarities[column] - 0.5 > margin;
      EXPECT_EQ(result.d_passages[column].item<float>() == 0, out) << column << ", margin " << margin;
    }
    return result.ignored_pairs - 1;
  };
  EXPECT_EQ(ignored(0.25), 0);
  EXPECT_EQ(ignored(0.2), 1);
  EXPECT_EQ(ignored(0), 2) << "an equal score is a negative";
  EXPECT_EQ(ignored(-0.5), 3);
  EXPECT_EQ(ignored(-2), 4) << "no negative is left";
  input.false_negative_margin = 0.2;
  EXPECT_NEAR(EvaluateLoss(input).negative_sum, -1 + 0.5 + 0.6, 1e-6);
}

// Against the definition in float64, row by row, whatever the tiles.
TEST(StreamingLoss, ReportsTheWeightsOfTheObjectivesOwnGradient) {
  for (int objective = v1::Objective_MIN + 1; objective <= v1::Objective_MAX; ++objective) {
    LossInput input = Small();
    input.objective = static_cast<v1::Objective>(objective);
    input.positives = {.offsets = {0, 2, 3, 5}, .columns = {0, 2, 1, 1, 3}};
    input.ignored = {.offsets = {0, 0, 0, 0}, .columns = {}};
    input.noise = {0, 1, 1, 0, 0};
    input.row_weights = {1, 0.5, 2};
    input.total_weight = 3.5;
    input.tile_rows = 1;
    input.tile_columns = 2;
    PositiveWeights expected;
    for (int64_t row = 0; row < 3; ++row) {
      std::vector<double> all, positives;
      for (int64_t column = 0; column < 4; ++column) {
        all.push_back(input.queries[row].to(at::kDouble).dot(input.passages[column].to(at::kDouble)).item<double>());
      }
      double negatives = 0;
      const auto begin = input.positives.columns.begin() + input.positives.begin(row),
                 end = input.positives.columns.begin() + input.positives.end(row);
      for (int64_t column = 0; column < 4; ++column) {
        if (std::find(begin, end, column) == end) negatives += std::exp(all[column] / input.temperature);
      }
      for (auto column = begin; column != end; ++column) positives.push_back(all[*column]);
      std::vector<double> scores = positives, gradient(positives.size());
      for (double& score : scores) score /= input.temperature;
      EvaluateRow(input.objective, scores, {}, std::log(negatives), gradient);
      expected.AddRow(positives, gradient,
                      std::span(input.noise).subspan(input.positives.begin(row), positives.size()), input.row_weights[row]);
    }
    const LossResult result = EvaluateLoss(input);
    const std::vector<double> shares = result.weights.MeanShares(), expected_shares = expected.MeanShares();
    ASSERT_EQ(shares.size(), 2) << objective;
    for (size_t i = 0; i < shares.size(); ++i) EXPECT_NEAR(shares[i], expected_shares[i], 1e-5) << objective;
    EXPECT_NEAR(result.weights.NoiseShare(), expected.NoiseShare(), 1e-5) << objective;
    EXPECT_GT(result.weights.NoiseShare(), 0) << objective;
    input.noise.clear();
    EXPECT_EQ(EvaluateLoss(input).weights.NoiseShare(), 0);
  }
}

TEST(StreamingLoss, WithoutNegativesOnlyJointLhHasALossAndAGradient) {
  for (int objective = v1::Objective_MIN + 1; objective <= v1::Objective_MAX; ++objective) {
    LossInput input = Small();
    input.objective = static_cast<v1::Objective>(objective);
    input.positives = {.offsets = {0, 2, 2, 5}, .columns = {0, 2, 0, 1, 3}};
    input.ignored = {.offsets = {0, 2, 2, 3}, .columns = {1, 3, 2}};
    const LossResult result = EvaluateLoss(input);
    const bool joint = objective == v1::OBJECTIVE_JOINTLH || objective == v1::OBJECTIVE_JOINTLH_SUM;
    EXPECT_EQ(result.loss_sum > 0, joint) << v1::Objective_Name(input.objective);
    EXPECT_EQ(result.d_queries.abs().max().item<float>() > 0, joint) << v1::Objective_Name(input.objective);
    EXPECT_EQ(result.negative_pairs, 0);
  }
}

}  // namespace
}  // namespace muster
