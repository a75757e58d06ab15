#include "worker/rank/loss/streaming_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <limits>

#include "worker/rank/loss/loss_cases.h"

namespace muster {
namespace {

const char kCases[] = MUSTER_SOURCE_DIR "/../shared/reference/loss_cases.json";

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

class ReferenceCases : public testing::TestWithParam<LossCaseOptions> {};

TEST_P(ReferenceCases, AreMet) {
  if (!std::filesystem::exists(kCases)) GTEST_SKIP() << "left out: " << kCases << " is absent";
  const auto outcomes = RunLossCases(kCases, GetParam());
  ASSERT_TRUE(outcomes.ok()) << outcomes.status();
  ASSERT_FALSE(outcomes->empty());
  double largest = 0;
  for (const LossCaseOutcome& outcome : *outcomes) {
    largest = std::max(largest, outcome.difference);
    EXPECT_TRUE(outcome.passed) << outcome.name << ": " << outcome.difference << " > " << outcome.limit;
    if (GetParam().double_precision) {
      EXPECT_LE(outcome.difference, 1e-9) << outcome.name;
    }
  }
  std::printf("%zu cases, largest difference %.2e\n", outcomes->size(), largest);
}

INSTANTIATE_TEST_SUITE_P(Splits, ReferenceCases,
                         testing::Values(LossCaseOptions{1, 1024, 4096}, LossCaseOptions{2, 1, 1},
                                         LossCaseOptions{3, 2, 5}, LossCaseOptions{3, 4, 1},
                                         LossCaseOptions{1, 1, 7}, LossCaseOptions{40, 3, 1000},
                                         LossCaseOptions{1, 3, 6, true}, LossCaseOptions{3, 2, 2, true}));

TEST(StreamingLoss, ARowWithoutPositiveAddsNothing) {
  const LossResult result = EvaluateLoss(Small());
  EXPECT_EQ(result.valid_rows, 2);
  EXPECT_EQ(result.d_queries[1].abs().max().item<float>(), 0);
  EXPECT_GT(result.d_queries[0].abs().max().item<float>(), 0);
  EXPECT_EQ(result.positive_pairs, 3);
  EXPECT_EQ(result.ignored_pairs, 1);
  EXPECT_EQ(result.negative_pairs, 1 + 3);
}

TEST(StreamingLoss, TileSizesDoNotChangeTheResult) {
  LossInput input = Small();
  const LossResult whole = EvaluateLoss(input);
  for (const auto& [rows, columns] : {std::pair{1, 1}, {2, 3}, {3, 4}}) {
    input.tile_rows = rows;
    input.tile_columns = columns;
    const LossResult tiled = EvaluateLoss(input);
    EXPECT_NEAR(tiled.loss_sum, whole.loss_sum, 1e-6);
    EXPECT_LE((tiled.d_passages - whole.d_passages).abs().max().item<float>(), 1e-6);
  }
}

TEST(StreamingLoss, NamesTheFirstRowWithANonFiniteScore) {
  LossInput input = Small();
  input.queries[2].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(EvaluateLoss(input).first_non_finite_row, 2);
  input = Small();
  input.passages[3].fill_(std::numeric_limits<float>::infinity());
  EXPECT_EQ(EvaluateLoss(input).first_non_finite_row, 0);
  input = Small();  // finite embeddings whose product is not
  input.queries[0].fill_(3e38f);
  input.passages[1].fill_(3e38f);
  EXPECT_EQ(EvaluateLoss(input).first_non_finite_row, 0);
}

TEST(StreamingLoss, AcceptsNoRows) {
  LossInput input = Small();
  input.queries = at::zeros({0, 2});
  input.positives = input.ignored = {};
  const LossResult result = EvaluateLoss(input);
  EXPECT_EQ(result.loss_sum, 0);
  EXPECT_EQ(result.first_non_finite_row, -1);
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

TEST(LossCases, NamesWhatIsWrongWithACase) {
  EXPECT_FALSE(RunLossCases("/absent.json", {}).ok());
}

}  // namespace
}  // namespace muster
