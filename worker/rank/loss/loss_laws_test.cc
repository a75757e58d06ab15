// Laws of docs/reference/losses.md, of the whole kernel on batches that RapidCheck draws.
#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "common/random.h"
#include "worker/rank/loss/testing/counting_tile_ops.h"
#include "worker/rank/loss/testing/dense_reference.h"

namespace muster {
namespace {

v1::Objective AnyObjective() {
  return static_cast<v1::Objective>(*rc::gen::inRange<int>(v1::Objective_MIN + 1, v1::Objective_MAX + 1));
}
DenseBatch AnyBatch(v1::Objective objective) { return RandomBatch(*rc::gen::arbitrary<uint64_t>(), objective); }

void AnyTiles(LossInput& input) {
  input.tile_rows = *rc::gen::inRange<int64_t>(1, 15);
  input.tile_columns = *rc::gen::inRange<int64_t>(1, 35);
  input.kept_bytes = *rc::gen::inRange<int64_t>(0, 4000);
}

// Every passage ends in 1: what is added to a query's last number is added to all scores of its row, and the last
// number of its gradient is the sum of its scores' gradients.
DenseBatch WithConstant(DenseBatch batch, double constant) {
  for (auto& query : batch.queries) query.push_back(constant);
  for (auto& passage : batch.passages) passage.push_back(1);
  return batch;
}

RC_GTEST_PROP(LossLaws, AnyBatchInAnyTilesMatchesTheDenseFormInFloat64, ()) {
  const DenseBatch batch = AnyBatch(AnyObjective());
  LossInput input = InputFrom(batch, at::kDouble);
  AnyTiles(input);
  const LossResult result = EvaluateLoss(input);
  const DenseResult expected = EvaluateDense(batch);
  RC_ASSERT(result.valid_rows == expected.valid_rows);
  RC_ASSERT(LargestDifference(result, expected) < 1e-11);
  const CountingTileOps at_once({.all_blocks_at_once = true});
  input.ops = &at_once;
  RC_ASSERT(LargestDifference(EvaluateLoss(input), expected) < 1e-11);
}

// The largest difference of the gradients' numbers, relative to the largest number of their scales (dense_reference.h).
double DifferenceInScale(const LossResult& a, const LossResult& b, const DenseResult& scales) {
  const auto difference = [](const at::Tensor& x, const at::Tensor& y, const Matrix& sizes) {
    const double scale = TensorFrom(sizes).max().item<double>();
    const double error = (x.to(at::kDouble) - y.to(at::kDouble)).abs().max().item<double>();
    return error == 0 ? 0 : error / scale;
  };
  return std::max(difference(a.d_queries, b.d_queries, scales.query_scales),
                  difference(a.d_passages, b.d_passages, scales.passage_scales));
}

// The bound of docs/design/exactness.md, relative to the gradient's scale: the gradient itself can be arbitrarily small where
// its terms cancel (decision 116).
constexpr double kInFloat32 = 1e-5;

RC_GTEST_PROP(LossLaws, TilesChangeNothingBeyondRounding, ()) {
  const DenseBatch batch = AnyBatch(AnyObjective());
  LossInput input = InputFrom(batch, at::kFloat);
  const LossResult whole = EvaluateLoss(input);
  AnyTiles(input);
  const LossResult tiled = EvaluateLoss(input);
  RC_ASSERT(std::abs(tiled.loss_sum - whole.loss_sum) <= 1e-6 * (1 + std::abs(whole.loss_sum)));
  RC_ASSERT(DifferenceInScale(tiled, whole, EvaluateDense(batch)) <= kInFloat32);
}

struct Comparison {
  LossResult own, exact;
  DenseResult scales;
};

// Products as a GPU computes them, of embeddings of `type`, against float64.
Comparison CompareSplitProducts(DenseBatch batch, at::ScalarType type, const std::function<void(LossInput&)>& cut) {
  LossInput input = InputFrom(batch, type);
  batch.queries = MatrixFrom(input.queries);  // inputs are rounded to the type on both sides
  batch.passages = MatrixFrom(input.passages);
  cut(input);
  const CountingTileOps split({.all_blocks_at_once = true, .split_bfloat16 = true});
  input.ops = &split;
  return {EvaluateLoss(input), EvaluateLoss(InputFrom(batch, at::kDouble)), EvaluateDense(batch)};
}

RC_GTEST_PROP(LossLaws, SplitProductsMatchFloat64, ()) {
  const at::ScalarType type = *rc::gen::element(at::kFloat, at::kBFloat16);
  const Comparison result = CompareSplitProducts(AnyBatch(AnyObjective()), type, AnyTiles);
  RC_ASSERT(std::abs(result.own.loss_sum - result.exact.loss_sum) <= 1e-5 * (1 + std::abs(result.exact.loss_sum)));
  RC_ASSERT(DifferenceInScale(result.own, result.exact, result.scales) <= kInFloat32);
}

// Two positives with nearly equal scores and no negative: the gradient is a small multiple of the difference of two nearly
// equal passages. Each of its terms is rounded, so its error has no bound relative to the gradient itself.
TEST(LossLaws, AGradientThatCancelsIsOnlyAccurateRelativeToItsScale) {
  DenseBatch batch{.temperature = 1, .queries = {{1, 0.5}}, .passages = {{0.3f, 0.7f}, {0.3001f, 0.7f}}};
  batch.positives = {{0, 1}};
  batch.ignored = {{}};
  const Comparison result = CompareSplitProducts(batch, at::kFloat, [](LossInput&) {});
  const double of_gradient = LargestDifference(result.own.d_queries, result.exact.d_queries);
  const double of_scale = DifferenceInScale(result.own, result.exact, result.scales);
  std::printf("%.2g of the gradient, %.2g of its scale\n", of_gradient, of_scale);
  EXPECT_GT(of_gradient, kInFloat32);
  EXPECT_LE(of_scale, 1e-7);
}

// What the laws leave to spare in float32, for the same batches on every machine.
TEST(LossLaws, RoundingInFloat32IsWithinTheBoundOfTheGradientsScale) {
  constexpr uint64_t kBatches = 2000;
  double tiled = 0, split = 0, of_gradient = 0;
  uint64_t worst = 0;
  for (uint64_t seed = 0; seed < kBatches; ++seed) {
    const int objectives = v1::Objective_MAX - v1::Objective_MIN;
    const DenseBatch batch = RandomBatch(seed, static_cast<v1::Objective>(v1::Objective_MIN + 1 + seed % objectives));
    CounterRandom random(seed);
    const auto cut = [&](LossInput& input) {
      input.tile_rows = 1 + static_cast<int64_t>(random.Below(14));
      input.tile_columns = 1 + static_cast<int64_t>(random.Below(34));
    };
    const Comparison result = CompareSplitProducts(batch, seed % 2 == 0 ? at::kFloat : at::kBFloat16, cut);
    split = std::max(split, DifferenceInScale(result.own, result.exact, result.scales));
    if (const double relative = std::max(LargestDifference(result.own.d_queries, result.exact.d_queries),
                                         LargestDifference(result.own.d_passages, result.exact.d_passages));
        relative > of_gradient) {
      of_gradient = relative, worst = seed;
    }
    LossInput input = InputFrom(batch, at::kFloat);
    const LossResult whole = EvaluateLoss(input);
    cut(input);
    tiled = std::max(tiled, DifferenceInScale(EvaluateLoss(input), whole, EvaluateDense(batch)));
  }
  std::printf("largest difference in %llu batches: of tiles %.2g, of split products %.2g of the scale; %.2g of the gradient "
              "itself, in the batch of seed %llu\n",
              static_cast<unsigned long long>(kBatches), tiled, split, of_gradient, static_cast<unsigned long long>(worst));
  EXPECT_LE(tiled, kInFloat32);
  EXPECT_LE(split, kInFloat32);
}

RC_GTEST_PROP(LossLaws, ARowsScoreGradientsSumToZero, ()) {
  LossInput input = InputFrom(WithConstant(AnyBatch(AnyObjective()), 0), at::kDouble);
  AnyTiles(input);
  const at::Tensor sums = EvaluateLoss(input).d_queries.select(1, input.queries.size(1) - 1);
  RC_ASSERT(sums.abs().max().item<double>() * input.temperature < 1e-12 * static_cast<double>(sums.numel() + 10));
}

RC_GTEST_PROP(LossLaws, AConstantAddedToARowsScoresChangesNothing, ()) {
  const DenseBatch batch = AnyBatch(AnyObjective());
  const LossResult plain = EvaluateLoss(InputFrom(WithConstant(batch, 0), at::kDouble));
  const LossResult moved = EvaluateLoss(InputFrom(WithConstant(batch, *rc::gen::inRange(-50, 50)), at::kDouble));
  RC_ASSERT(std::abs(plain.loss_sum - moved.loss_sum) < 1e-10 * (1 + std::abs(plain.loss_sum)));
  RC_ASSERT(LargestDifference(moved.d_queries, plain.d_queries) < 1e-9);
}

RC_GTEST_PROP(LossLaws, EqualGradesGiveTheUnweightedLoss, ()) {
  DenseBatch batch = AnyBatch(AnyObjective());
  batch.grades.clear();
  const LossResult plain = EvaluateLoss(InputFrom(batch, at::kDouble));
  for (const auto& columns : batch.positives) batch.grades.emplace_back(columns.size(), 3.0);
  const LossResult graded = EvaluateLoss(InputFrom(batch, at::kDouble));
  RC_ASSERT(std::abs(plain.loss_sum - graded.loss_sum) < 1e-12 * (1 + std::abs(plain.loss_sum)));
  RC_ASSERT(LargestDifference(graded.d_queries, plain.d_queries) < 1e-12);
}

RC_GTEST_PROP(LossLaws, AllObjectivesAgreeOnOnePositivePerRow, ()) {
  DenseBatch batch = AnyBatch(v1::OBJECTIVE_JOINTLH);
  batch.grades.clear();
  for (auto& columns : batch.positives) columns.resize(std::min<size_t>(columns.size(), 1));
  const LossResult joint = EvaluateLoss(InputFrom(batch, at::kDouble));
  batch.objective = AnyObjective();
  const LossResult other = EvaluateLoss(InputFrom(batch, at::kDouble));
  RC_ASSERT(std::abs(joint.loss_sum - other.loss_sum) < 1e-12 * (1 + std::abs(joint.loss_sum)));
  RC_ASSERT(LargestDifference(other.d_passages, joint.d_passages) < 1e-11);
}

RC_GTEST_PROP(LossLaws, LsePairIsNeverBelowSumMargLh, ()) {
  DenseBatch batch = AnyBatch(v1::OBJECTIVE_LSEPAIR);
  batch.grades.clear();
  const double pair = EvaluateLoss(InputFrom(batch, at::kDouble)).loss_sum;
  batch.objective = v1::OBJECTIVE_SUMMARGLH;
  RC_ASSERT(pair >= EvaluateLoss(InputFrom(batch, at::kDouble)).loss_sum - 1e-12);
}

RC_GTEST_PROP(LossLaws, TheMeanOfRand1LhOverItsChoicesIsTheMeanOverPositives, ()) {
  DenseBatch batch = AnyBatch(v1::OBJECTIVE_RAND1LH);
  batch.weights.clear();
  const size_t row = *rc::gen::inRange<size_t>(0, batch.queries.size());
  const std::vector<int64_t> positives = batch.positives[row];
  RC_PRE(!positives.empty());
  for (size_t other = 0; other < batch.positives.size(); ++other) {
    if (other != row) batch.positives[other].clear();
  }
  const double all = EvaluateLoss(InputFrom(batch, at::kDouble)).loss_sum;
  double mean = 0;
  const std::vector<int64_t> ignored = batch.ignored[row];
  for (const int64_t drawn : positives) {
    batch.positives[row] = {drawn};
    batch.ignored[row] = ignored;
    for (const int64_t column : positives) {
      if (column != drawn) batch.ignored[row].push_back(column);
    }
    mean += EvaluateLoss(InputFrom(batch, at::kDouble)).loss_sum / static_cast<double>(positives.size());
  }
  RC_ASSERT(std::abs(all - mean) < 1e-12 * (1 + all));
}

RC_GTEST_PROP(LossLaws, FalseNegativesAreIgnoredInAnyTiles, ()) {
  DenseBatch batch = AnyBatch(AnyObjective());
  batch.margin = 0.01 * *rc::gen::inRange(-100, 101);
  LossInput input = InputFrom(batch, at::kDouble);
  AnyTiles(input);
  const LossResult result = EvaluateLoss(input);
  const DenseResult expected = EvaluateDense(batch);
  RC_ASSERT(LargestDifference(result, expected) < 1e-11);
  const CountingTileOps at_once({.all_blocks_at_once = true});
  input.ops = &at_once;
  RC_ASSERT(LargestDifference(EvaluateLoss(input), expected) < 1e-11);
  if (input.total_weight == 0) return;  // the dense form counts nothing
  batch.margin.reset();
  const LossResult all = EvaluateLoss(InputFrom(batch, at::kDouble));
  RC_ASSERT(result.ignored_pairs - all.ignored_pairs == expected.false_negatives);
  RC_ASSERT(all.negative_pairs - result.negative_pairs == expected.false_negatives);
}

RC_GTEST_PROP(LossLaws, AMarginThatNoScoreExceedsChangesNoBit, ()) {
  LossInput input = InputFrom(AnyBatch(AnyObjective()), at::kFloat);
  AnyTiles(input);
  const LossResult plain = EvaluateLoss(input);
  input.false_negative_margin = 1e4;
  const LossResult result = EvaluateLoss(input);
  RC_ASSERT(result.loss_sum == plain.loss_sum);
  RC_ASSERT(result.d_queries.equal(plain.d_queries) && result.d_passages.equal(plain.d_passages));
  RC_ASSERT(result.negative_pairs == plain.negative_pairs && result.negative_sum == plain.negative_sum);
}

RC_GTEST_PROP(LossLaws, ScoresOfTenThousandAreFiniteAndRight, ()) {
  DenseBatch batch = AnyBatch(AnyObjective());
  // Numbers with few bits: float32 and float64 have the same scores.
  for (Matrix* matrix : {&batch.queries, &batch.passages}) {
    for (auto& row : *matrix) {
      for (double& x : row) x = std::round(64 * x);
    }
  }
  batch.temperature = 0.5;
  LossInput input = InputFrom(batch, at::kFloat);
  AnyTiles(input);
  const LossResult result = EvaluateLoss(input);
  RC_ASSERT(result.first_non_finite_row == -1 && result.first_non_finite_passage == -1);
  RC_ASSERT(at::isfinite(result.d_queries).all().item<bool>() && at::isfinite(result.d_passages).all().item<bool>());
  // Sums of gradients that are 1e-12 of a score of 1e4 cancel even in float64, so the tolerance has an absolute part.
  const DenseResult expected = EvaluateDense(batch);
  const auto near = [](const at::Tensor& x, const Matrix& y) {
    const at::Tensor exact = TensorFrom(y);
    return (x.to(at::kDouble) - exact).abs().max().item<double>() <= 1e-5 * exact.abs().max().item<double>() + 1e-7;
  };
  RC_ASSERT(std::abs(result.loss_sum - expected.loss) <= 1e-6 * expected.loss + 1e-9);
  RC_ASSERT(near(result.d_queries, expected.d_queries) && near(result.d_passages, expected.d_passages));
}

RC_GTEST_PROP(LossLaws, BFloat16EmbeddingsAreAccumulatedInFloat32, ()) {
  const DenseBatch batch = AnyBatch(AnyObjective());
  const LossInput narrow = InputFrom(batch, at::kBFloat16);
  LossInput wide = InputFrom(batch, at::kFloat);
  wide.queries = narrow.queries.to(at::kFloat);
  wide.passages = narrow.passages.to(at::kFloat);
  const LossResult x = EvaluateLoss(narrow), y = EvaluateLoss(wide);
  RC_ASSERT(x.d_queries.scalar_type() == at::kFloat && x.d_passages.scalar_type() == at::kFloat);
  RC_ASSERT(LargestDifference(x.d_queries, y.d_queries) < 1e-6);
  RC_ASSERT(LargestDifference(x.d_passages, y.d_passages) < 1e-6);
}

DenseBatch Large(uint64_t seed) {
  CounterRandom random(seed);
  DenseBatch batch{.objective = v1::OBJECTIVE_LSEPAIR, .temperature = 0.2};
  for (Matrix* matrix : {&batch.queries, &batch.passages}) {
    matrix->assign(matrix == &batch.queries ? 300 : 700, std::vector<double>(48));
    for (auto& row : *matrix) {
      for (double& x : row) x = 2 * random.Uniform() - 1;
    }
  }
  for (int64_t row = 0; row < 300; ++row) {
    batch.positives.push_back({row, row + 200, row + 400});
    batch.ignored.push_back({row + 1, row + 300});
  }
  return batch;
}

// The average of rand1lh over all draws. All draws of a row are equally likely, and independent of the other rows. So draw
// k takes positive k of each row that has one.
LossResult AverageOverDraws(const DenseBatch& batch, at::ScalarType type) {
  const LossInput whole = InputFrom(batch, type);
  LossResult sum{.d_queries = at::zeros_like(whole.queries, at::kDouble),
                 .d_passages = at::zeros_like(whole.passages, at::kDouble)};
  size_t most = 0;
  for (const auto& columns : batch.positives) most = std::max(most, columns.size());
  for (size_t draw = 0; draw < most; ++draw) {
    DenseBatch drawn = batch;
    drawn.objective = v1::OBJECTIVE_RAND1LH;
    drawn.weights.assign(batch.queries.size(), 0);
    for (size_t row = 0; row < batch.queries.size(); ++row) {
      const std::vector<int64_t>& positives = batch.positives[row];
      drawn.positives[row].clear();
      if (draw >= positives.size()) continue;
      drawn.positives[row] = {positives[draw]};
      drawn.weights[row] = (batch.weights.empty() ? 1 : batch.weights[row]) / static_cast<double>(positives.size());
      for (const int64_t column : positives) {
        if (column != positives[draw]) drawn.ignored[row].push_back(column);
      }
    }
    LossInput input = InputFrom(drawn, type);
    input.total_weight = whole.total_weight;
    const LossResult part = EvaluateLoss(input);
    sum.loss_sum += part.loss_sum;
    sum.d_queries += part.d_queries;
    sum.d_passages += part.d_passages;
  }
  return sum;
}

RC_GTEST_PROP(LossLaws, Mean1LhIsTheAverageOfRand1LhOverAllDraws, ()) {
  DenseBatch batch = AnyBatch(v1::OBJECTIVE_MEAN1LH);
  batch.grades.clear();
  const LossResult mean = EvaluateLoss(InputFrom(batch, at::kDouble)), average = AverageOverDraws(batch, at::kDouble);
  RC_ASSERT(std::abs(mean.loss_sum - average.loss_sum) < 1e-12 * (1 + average.loss_sum));
  RC_ASSERT(LargestDifference(mean.d_queries, average.d_queries) < 1e-11);
  RC_ASSERT(LargestDifference(mean.d_passages, average.d_passages) < 1e-11);
}

TEST(LossLaws, Mean1LhIsTheAverageOfRand1LhOverAllDrawsInFloat32) {
  DenseBatch batch = Large(11);
  batch.objective = v1::OBJECTIVE_MEAN1LH;
  const LossResult mean = EvaluateLoss(InputFrom(batch, at::kFloat)), average = AverageOverDraws(batch, at::kFloat);
  const double queries = LargestDifference(mean.d_queries, average.d_queries),
               passages = LargestDifference(mean.d_passages, average.d_passages);
  std::printf("largest difference %.1e of d_queries, %.1e of d_passages\n", queries, passages);
  EXPECT_LE(queries, 1e-6);
  EXPECT_LE(passages, 1e-6);
}

// Enough rows and columns that several threads share each product and each pass.
TEST(LossLaws, TheSameTilesGiveTheSameBitsKeptOrComputedAgain) {
  LossInput input = InputFrom(Large(11), at::kFloat);
  input.tile_rows = 128;
  input.tile_columns = 256;
  for (const auto& [at_once, margin] : {std::pair(false, std::optional<double>()), {true, {}}, {false, 0.5}, {true, 0.5}}) {
    const CountingTileOps ops({.all_blocks_at_once = at_once});
    input.ops = &ops;
    input.false_negative_margin = margin;
    input.kept_bytes = -1;
    const LossResult first = EvaluateLoss(input);
    for (const int64_t kept_bytes : {int64_t{32} << 20, int64_t{5} * 128 * 256 * 4, int64_t{2} * 128 * 256 * 4, int64_t{0}}) {
      input.kept_bytes = kept_bytes;
      const LossResult again = EvaluateLoss(input);
      EXPECT_EQ(first.loss_sum, again.loss_sum) << kept_bytes;
      EXPECT_TRUE(first.d_queries.equal(again.d_queries)) << kept_bytes;
      EXPECT_TRUE(first.d_passages.equal(again.d_passages)) << kept_bytes;
    }
  }
}

// Calls of at:: operations that make the host wait for the device, however they are reached.
int64_t CountOfWaits(const LossInput& input) {
  static std::atomic<int64_t> count;
  count = 0;
  const auto handle = at::addGlobalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
        const std::string_view name = function.name();
        if (name == "aten::_local_scalar_dense" || name == "aten::nonzero" || name == "aten::equal") ++count;
        return nullptr;
      }).scopes({at::RecordScope::FUNCTION}));
  EvaluateLoss(input);
  at::removeCallback(handle);
  return count;
}

TEST(LossLaws, AGpuWaitsForTheHostThreeTimesHoweverManyBlocksThereAre) {
  for (const int64_t tile_rows : {300, 128, 16, 3}) {
    for (const int64_t tile_columns : {700, 64}) {
      for (const bool ignores : {false, true}) {
        const CountingTileOps ops({.all_blocks_at_once = true, .split_bfloat16 = true});
        LossInput input = InputFrom(Large(11), at::kFloat);
        input.tile_rows = tile_rows;
        input.tile_columns = tile_columns;
        input.ops = &ops;
        if (ignores) input.false_negative_margin = 0.5;
        EXPECT_EQ(CountOfWaits(input), 0);
        EXPECT_EQ(ops.counts().downloads, 1);
        EXPECT_EQ(ops.counts().uploads, 2);
        const int64_t tiles = (300 + tile_rows - 1) / tile_rows * ((700 + tile_columns - 1) / tile_columns);
        EXPECT_LE(ops.counts().operations, 3 + (ignores ? 5 : 3) * tiles);
      }
    }
  }
}

}  // namespace
}  // namespace muster
