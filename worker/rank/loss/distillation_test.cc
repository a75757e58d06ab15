// Compares distillation, with and without the objective, with the dense form in float64, on batches that RapidCheck draws.
// loss_cases_test.cc tests the split over ranks.
#include "worker/rank/loss/distillation.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/rank/loss/matryoshka.h"
#include "worker/rank/loss/testing/counting_tile_ops.h"
#include "worker/rank/loss/testing/dense_reference.h"

namespace muster {
namespace {

DenseBatch TaughtBatch(bool only) {
  const auto objective = static_cast<v1::Objective>(*rc::gen::inRange<int>(v1::Objective_MIN + 1, v1::Objective_MAX + 1));
  const auto kind = static_cast<v1::DistillKind>(*rc::gen::inRange<int>(v1::DistillKind_MIN + 1, v1::DistillKind_MAX + 1));
  DenseBatch batch = RandomBatch(*rc::gen::arbitrary<uint64_t>(), objective);
  batch.teacher = RandomTeacher(*rc::gen::arbitrary<uint64_t>(), batch, kind);
  batch.teacher->only = only;
  return batch;
}

// max |x - y| is at most `limit` times the larger of 1 and max |y|. The 1 is for a teacher that agrees with the student: then
// only rounding is left.
bool IsNear(const LossResult& result, const DenseResult& expected, double limit) {
  const auto near = [&](const at::Tensor& x, const Matrix& matrix) {
    const at::Tensor y = TensorFrom(matrix);
    return (x.to(at::kDouble) - y).abs().max().item<double>() <= limit * std::max(1.0, y.abs().max().item<double>());
  };
  return std::abs(result.loss_sum - expected.loss) <= limit * (1 + expected.loss) &&
         near(result.d_queries, expected.d_queries) && near(result.d_passages, expected.d_passages);
}

RC_GTEST_PROP(Distillation, IsAddedToTheObjective, ()) {
  const DenseBatch batch = TaughtBatch(/*only=*/false);
  RC_ASSERT(IsNear(EvaluateLoss(InputFrom(batch, at::kDouble)), EvaluateDense(batch), 1e-11));
}

RC_GTEST_PROP(Distillation, AloneHasNoPartOfTheObjective, ()) {
  DenseBatch batch = TaughtBatch(/*only=*/true);
  const LossResult result = EvaluateLoss(InputFrom(batch, at::kDouble));
  RC_ASSERT(IsNear(result, EvaluateDense(batch), 1e-11));
  batch.teacher.reset();
  const LossResult objective = EvaluateLoss(InputFrom(batch, at::kDouble));
  RC_ASSERT(result.valid_rows == objective.valid_rows && result.negative_pairs == objective.negative_pairs);
  RC_ASSERT(result.positive_sum == objective.positive_sum && result.negative_sum == objective.negative_sum);
  RC_ASSERT(result.entropy_sum == 0);
}

RC_GTEST_PROP(Distillation, InFloat32IsThatOfFloat64WithinRounding, ()) {
  DenseBatch batch = TaughtBatch(/*only=*/true);
  batch.temperature = 0.5;
  RC_ASSERT(IsNear(EvaluateLoss(InputFrom(batch, at::kFloat)), EvaluateDense(batch), 1e-5));
}

RC_GTEST_PROP(Distillation, OfCutEmbeddingsIsWeighedLikeTheObjective, ()) {
  const DenseBatch batch = TaughtBatch(/*only=*/*rc::gen::arbitrary<bool>());
  const auto whole = static_cast<int64_t>(batch.queries[0].size());
  std::vector<EmbeddingCut> cuts = {{whole, 0.5}};
  if (whole > 1) cuts.push_back({1, 2});
  const LossResult result = EvaluateLossOfCuts(InputFrom(batch, at::kDouble), cuts, /*normalize=*/false);
  RC_ASSERT(IsNear(result, EvaluateDenseCuts(batch, cuts, /*normalize=*/false), 1e-11));
}

TEST(Distillation, WithoutTheObjectiveNeedsNoTile) {
  DenseBatch batch = RandomBatch(1, v1::OBJECTIVE_JOINTLH);
  batch.teacher = RandomTeacher(2, batch, v1::DISTILL_KIND_KL);
  batch.teacher->only = true;
  const CountingTileOps ops({.all_blocks_at_once = true});
  LossInput input = InputFrom(batch, at::kFloat);
  input.ops = &ops;
  EvaluateLoss(input);
  EXPECT_EQ(ops.counts().operations, 4) << "the lengths, the sum of all passages, and two times dot products of pairs";
  EXPECT_EQ(ops.counts().downloads, 2);
  EXPECT_EQ(ops.counts().uploads, 3);
}

TEST(Distillation, AQueryWithoutAPositiveIsNotTaught) {
  DenseBatch batch{.queries = {{1, 0}, {0, 1}}, .passages = {{1, 0}, {0, 1}, {1, 1}}};
  batch.positives = {{0}, {}};
  batch.ignored = {{}, {}};
  batch.teacher = DenseTeacher{.lists = {{0, 1}, {1, 2}}, .scores = {{1, 0}, {5, 0}}};
  const LossResult result = EvaluateLoss(InputFrom(batch, at::kFloat));
  EXPECT_EQ(result.d_queries[1].abs().max().item<float>(), 0);
  EXPECT_GT(result.d_queries[0].abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace muster
