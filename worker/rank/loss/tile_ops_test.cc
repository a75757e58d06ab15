#include "worker/rank/loss/tile_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "common/random.h"

namespace muster {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

at::Tensor RandomScores(int64_t height, int64_t width, double scale, at::ScalarType type) {
  CounterRandom random(static_cast<uint64_t>(height * 1000 + width));
  at::Tensor scores = at::empty({height, width}, at::kDouble);
  for (int64_t i = 0; i < scores.numel(); ++i) scores.data_ptr<double>()[i] = scale * (2 * random.Uniform() - 1);
  return scores.to(type);
}

at::Tensor Flat(std::vector<int64_t> values) {
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::TensorOptions().dtype(at::kLong)).clone();
}

TEST(TileOps, ExpIsWithinTwoUnitsInTheLastPlace) {
  constexpr int64_t kCount = 1 << 20;
  at::Tensor scores = at::linspace(-87.2, 88.2, kCount, at::kFloat).view({1, kCount});
  const at::Tensor x = scores.clone();
  CpuTileOps().Weigh(scores, {}, at::zeros({1}), at::full({1}, 1.0f));
  double worst = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    const double exact = std::exp(static_cast<double>(x.const_data_ptr<float>()[i]));
    const float nearest = static_cast<float>(exact);
    const double unit = static_cast<double>(std::nextafter(nearest, INFINITY)) - nearest;
    worst = std::max(worst, std::abs(scores.const_data_ptr<float>()[i] - exact) / unit);
  }
  std::printf("largest error %.2f units in the last place\n", worst);
  EXPECT_LE(worst, 2);
}

TEST(TileOps, AccumulateOverTilesOfAnyWidth) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const double scale : {3.0, 1e4}) {
      at::Tensor top = at::full({5}, kMinusInfinity, type), sum = at::zeros({5}, type);
      std::vector<std::vector<double>> seen(5);
      for (const int64_t width : {1, 7, 16, 17, 63, 64, 65, 200}) {
        at::Tensor scores = RandomScores(5, width, scale, type);
        const at::Tensor before = scores.clone();
        const std::vector<int64_t> out = {0, 2 * width, 4 * width + width - 1};  // the first, the third, and the last row
        for (int64_t i = 0; i < scores.numel(); ++i) {
          if (std::ranges::find(out, i) == out.end()) {
            seen[i / width].push_back(before.view(-1)[i].item<double>());
          }
        }
        CpuTileOps().AccumulateLse(scores, Flat(out), top, sum);
        for (int64_t i = 0; i < scores.numel(); ++i) {
          if (std::ranges::find(out, i) == out.end()) {
            ASSERT_EQ(scores.view(-1)[i].item<double>(), before.view(-1)[i].item<double>());
          }
        }
      }
      for (int64_t row = 0; row < 5; ++row) {
        const double most = *std::ranges::max_element(seen[row]);
        double expected = 0;
        for (const double s : seen[row]) expected += std::exp(s - most);
        EXPECT_EQ(top[row].item<double>(), most);
        EXPECT_NEAR(sum[row].item<double>() / expected, 1, type == at::kFloat ? 2e-6 : 1e-12);
      }
    }
  }
}

TEST(TileOps, ARowWithoutNegativesStaysAtNone) {
  at::Tensor scores = RandomScores(2, 3, 1, at::kFloat);
  at::Tensor top = at::full({2}, kMinusInfinity, at::kFloat), sum = at::zeros({2});
  CpuTileOps().AccumulateLse(scores, Flat({0, 1, 2}), top, sum);
  EXPECT_EQ(top[0].item<double>(), kMinusInfinity);
  EXPECT_EQ(sum[0].item<double>(), 0);
  EXPECT_TRUE(std::isfinite(top[1].item<double>()));
}

TEST(TileOps, WeighGivesZeroAtExcludedPairsWhateverTheirScore) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    at::Tensor scores = RandomScores(3, 21, 2, type);
    const at::Tensor before = scores.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
    scores.view(-1)[4].fill_(kMinusInfinity);
    scores.view(-1)[22].fill_(1e4);
    at::Tensor lse = at::full({3}, 2.5, type), scale = at::full({3}, 0.75, type);
    scale[2].fill_(0);
    CpuTileOps().Weigh(scores, Flat({4, 22}), lse, scale);
    for (int64_t i = 0; i < 63; ++i) {
      const double expected = i == 4 || i == 22 || i >= 42 ? 0 : 0.75 * std::exp(before.view(-1)[i].item<double>() - 2.5);
      EXPECT_NEAR(scores.view(-1)[i].item<double>(), expected, 5e-7 * expected) << i;
    }
  }
}

// The CPU's own form, and the form of other devices.
TEST(TileOps, IgnoreAboveLeavesOutAndCountsWhatIsAboveARowsLimit) {
  constexpr double kNone = kMinusInfinity;
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor before = RandomScores(4, 33, 2, type);
    at::Tensor limits = at::full({4}, 0.5, type);
    limits[1].fill_(-kNone);  // nothing
    limits[2].fill_(-3);      // everything
    const std::vector<int64_t> out = {1, 34, 131};
    for (const bool own : {true, false}) {
      at::Tensor scores = before.clone(), counts = at::full({4}, 1.0, at::kDouble), sums = at::full({4}, 10.0, at::kDouble);
      at::Tensor again = before.clone(), none;
      if (own) {
        CpuTileOps().IgnoreAbove(scores, Flat(out), limits, counts, sums);
        CpuTileOps().IgnoreAbove(again, Flat(out), limits, none, none);
      } else {
        CpuTileOps().TileOps::IgnoreAbove(scores, Flat(out), limits, counts, sums);
        CpuTileOps().TileOps::IgnoreAbove(again, Flat(out), limits, none, none);
      }
      EXPECT_TRUE(scores.equal(again)) << "uncounted";
      for (int64_t row = 0; row < 4; ++row) {
        double count = 1, sum = 10;
        for (int64_t i = 33 * row; i < 33 * (row + 1); ++i) {
          const double score = before.view(-1)[i].item<double>();
          const bool excluded = std::ranges::count(out, i) > 0, above = score > limits[row].item<double>();
          EXPECT_EQ(scores.view(-1)[i].item<double>(), excluded || above ? kNone : score) << i;
          if (excluded || !above) continue;
          count += 1;
          sum += score;
        }
        EXPECT_EQ(counts[row].item<double>(), count);
        EXPECT_NEAR(sums[row].item<double>(), sum, 1e-12 * 33);
      }
    }
  }
}

TEST(TileOps, ScatterWritesItsPositionsAndNoOther) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    at::Tensor scores = RandomScores(3, 7, 1, type);
    at::Tensor expected = scores.clone();
    const at::Tensor values = at::linspace(1, 2, 3, type);
    CpuTileOps().Scatter(scores, Flat({20, 0, 9}), values);
    for (int64_t i = 0; i < 3; ++i) expected.view(-1)[std::vector<int64_t>{20, 0, 9}[i]] = values[i];
    EXPECT_TRUE(scores.equal(expected));
  }
}

// The CPU's implementation, and the default one for other devices.
TEST(TileOps, PairDotsAreFloat64ProductsOfTheirRows) {
  const at::Tensor queries = RandomScores(9, 53, 1, at::kDouble), passages = RandomScores(11, 53, 1, at::kDouble);
  const at::Tensor rows = Flat({0, 8, 8, 3, 0}), columns = Flat({10, 0, 7, 7, 10});
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const at::Tensor q = queries.to(type), p = passages.to(type);
    const at::Tensor all = at::matmul(q.to(at::kDouble), p.to(at::kDouble).t());
    at::Tensor own = at::empty({5}, at::kDouble), common = at::empty({5}, at::kDouble);
    CpuTileOps().PairDots(q, p, rows, columns, own);
    CpuTileOps().TileOps::PairDots(q, p, rows, columns, common);
    for (int64_t i = 0; i < 5; ++i) {
      const double expected = all[rows[i].item<int64_t>()][columns[i].item<int64_t>()].item<double>();
      EXPECT_NEAR(own[i].item<double>(), expected, 1e-13);
      EXPECT_NEAR(common[i].item<double>(), expected, 1e-13);
    }
  }
}

TEST(TileOps, AGpuPlanFillsTheMultiprocessorsAndATileFitsWhatIsKept) {
  for (const int64_t multiprocessors : {1, 84, 108, 132, 148}) {
    const TilePlan plan = GpuTilePlan(multiprocessors, int64_t{80} << 30);
    EXPECT_GE((plan.rows / 128) * (768 / 128), multiprocessors);  // blocks of a query gradient
    EXPECT_GE((plan.rows / 128) * (plan.columns / 128), 4 * multiprocessors);  // of the scores
    EXPECT_TRUE(plan.all_blocks_at_once);
    EXPECT_GE(plan.kept_bytes, plan.rows * plan.columns * 4);
    EXPECT_LE(plan.kept_bytes, int64_t{80} << 24);
  }
  EXPECT_GE(GpuTilePlan(132, 1 << 30).kept_bytes, int64_t{4096} * 8192 * 4);
}

TEST(TileOps, AnUnknownDeviceIsAnError) {
  EXPECT_THROW(TileOpsOf(c10::DeviceType::XLA), c10::Error);
}

}  // namespace
}  // namespace muster
