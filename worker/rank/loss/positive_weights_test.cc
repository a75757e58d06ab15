#include "worker/rank/loss/positive_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "worker/rank/loss/row.h"

namespace muster {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::IsEmpty;

void AddRow(PositiveWeights& weights, const std::vector<double>& similarities, const std::vector<double>& gradient,
            const std::vector<uint8_t>& noise = {}, double row_weight = 1) {
  weights.AddRow(similarities, gradient, noise, row_weight);
}

TEST(PositiveWeights, AreOrderedBySimilarityAndCountTheSizeOfTheGradient) {
  PositiveWeights weights;
  AddRow(weights, {0.1, 0.9, 0.5}, {-1, 2, -5});
  EXPECT_THAT(weights.MeanShares(), ElementsAre(DoubleEq(0.25), DoubleEq(0.625), DoubleEq(0.125)));
  AddRow(weights, {0.3, 0.2}, {-3, -1});
  EXPECT_THAT(weights.MeanShares(), ElementsAre(DoubleEq(0.5), DoubleEq(0.4375), DoubleEq(0.0625)));
  EXPECT_EQ(weights.rows, 2);
}

TEST(PositiveWeights, OfEqualSimilaritiesTheFirstPositiveIsTheHigherOne) {
  PositiveWeights weights;
  AddRow(weights, {0.5, 0.5}, {-3, -1});
  EXPECT_THAT(weights.MeanShares(), ElementsAre(0.75, 0.25));
}

TEST(PositiveWeights, RowsWithOnePositiveOrWithoutAGradientHaveNoShares) {
  PositiveWeights weights;
  AddRow(weights, {0.5}, {-3});
  AddRow(weights, {0.5, 0.4}, {0, 0});
  EXPECT_THAT(weights.MeanShares(), IsEmpty());
  EXPECT_EQ(weights.of_all, 3);
  EXPECT_EQ(weights.NoiseShare(), 0);
}

TEST(PositiveWeights, AtMostEightPlacesAreReported) {
  PositiveWeights weights;
  std::vector<double> similarities(20), gradient(20, -1);
  std::iota(similarities.begin(), similarities.end(), 0.0);
  AddRow(weights, similarities, gradient);
  const std::vector<double> shares = weights.MeanShares();
  ASSERT_EQ(shares.size(), kRankedPositives);
  for (const double share : shares) EXPECT_DOUBLE_EQ(share, 0.05);
}

TEST(PositiveWeights, TheShareOfNoiseIsThatOfTheWholeBatchByTheRowsWeights) {
  PositiveWeights weights;
  AddRow(weights, {0.5, 0.4}, {-1, -3}, {1, 0});
  EXPECT_DOUBLE_EQ(weights.NoiseShare(), 0.25);
  AddRow(weights, {0.5}, {-2}, {1}, /*row_weight=*/3);
  EXPECT_DOUBLE_EQ(weights.NoiseShare(), 0.7);
  AddRow(weights, {0.5}, {-10}, {}, /*row_weight=*/1);
  EXPECT_DOUBLE_EQ(weights.NoiseShare(), 0.35) << "a row without injected positives counts";
  AddRow(weights, {0.5}, {-10}, {1}, /*row_weight=*/0);
  EXPECT_DOUBLE_EQ(weights.NoiseShare(), 0.35);
}

TEST(PositiveWeights, PartsOfABatchAddUpToTheWhole) {
  PositiveWeights whole, first, second;
  for (int row = 0; row < 9; ++row) {
    std::vector<double> similarities, gradient;
    std::vector<uint8_t> noise;
    for (int p = 0; p <= row; ++p) {
      similarities.push_back(std::sin(row + 3 * p));
      gradient.push_back(-1 - std::cos(2 * row + p));
      noise.push_back(static_cast<uint8_t>((row + p) % 3 == 0));
    }
    for (PositiveWeights* weights : {&whole, row < 4 ? &first : &second}) {
      AddRow(*weights, similarities, gradient, noise, 0.5 + row);
    }
  }
  first.Add(second);
  EXPECT_EQ(first.rows, whole.rows);
  EXPECT_NEAR(first.NoiseShare(), whole.NoiseShare(), 1e-12);
  const std::vector<double> sum = first.MeanShares(), all = whole.MeanShares();
  ASSERT_EQ(sum.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_NEAR(sum[i], all[i], 1e-12);
}

// What the paper derives, for three positives of which the last has the lowest score.
TEST(PositiveWeights, EachObjectiveListensToThePositivesThatItsGradientNames) {
  const std::vector<double> scores = {2, 1, -1};
  const auto shares = [&](muster::v1::Objective objective) {
    std::vector<double> gradient(scores.size());
    EvaluateRow(objective, scores, {}, /*negative_lse=*/0, gradient);
    PositiveWeights weights;
    weights.AddRow(scores, gradient, {}, 1);
    return weights.MeanShares();
  };
  const auto sum_marginal = shares(muster::v1::OBJECTIVE_SUMMARGLH), pairs = shares(muster::v1::OBJECTIVE_LSEPAIR);
  const double up = std::exp(2) + std::exp(1) + std::exp(-1), down = std::exp(-2) + std::exp(-1) + std::exp(1);
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_NEAR(sum_marginal[i], std::exp(scores[i]) / up, 1e-12) << "to the positives that are found already";
    EXPECT_NEAR(pairs[i], std::exp(-scores[i]) / down, 1e-12) << "to the one that is hardest to find";
  }
  const auto mean = shares(muster::v1::OBJECTIVE_MEAN1LH);
  EXPECT_LT(mean[0], mean[1]);
  EXPECT_LT(mean[1], mean[2]);
}

}  // namespace
}  // namespace muster
