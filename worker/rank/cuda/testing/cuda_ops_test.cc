// The operations that a rank with a GPU registers, with their kernels on the host, against the CPU's.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <limits>

#include "worker/rank/cuda/cuda_dropout_ops.h"
#include "worker/rank/cuda/cuda_tile_ops.h"
#include "worker/rank/cuda/testing/host_cuda.h"
#include "worker/rank/cuda/testing/host_plan.h"

namespace muster {
namespace {

const std::vector<int64_t> kLengths = {1, 2, 2, 3, 17, 17, 40};

double LargestRelative(const at::Tensor& own, const at::Tensor& expected) {
  const at::Tensor a = own.to(at::kDouble), b = expected.to(at::kDouble);
  return ((a - b).abs() / (b.abs() + 1e-30)).max().item<double>();
}

TEST(CudaDropoutOps, ProbabilitiesAreTheBitsOfTheCpu) {
  const SequencePlanPtr plan = HostPlan(kLengths);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const muster::Run& run : plan->runs) {
      const at::Tensor p = RandomTensor({run.count * 3, run.length, run.length}, type, 3);
      at::Tensor own = at::empty_like(p), expected = at::empty_like(p);
      CudaDropoutOps().MaskProbabilities(p, run, DropoutRate(0.3), 7, *plan, own);
      DropoutOpsOf(at::kCPU).MaskProbabilities(p, run, DropoutRate(0.3), 7, *plan, expected);
      EXPECT_TRUE(at::equal(own, expected)) << type << ", length " << run.length;
    }
  }
}

TEST(CudaDropoutOps, TensorsThatDoNotMatchAreRefused) {
  const SequencePlanPtr plan = HostPlan(kLengths);
  const muster::Run& run = plan->runs.back();
  const at::Tensor p = at::zeros({run.count * 3, run.length, run.length + 1});
  at::Tensor out = at::zeros_like(p), larger = at::zeros({p.numel() + 1});
  EXPECT_THROW(CudaDropoutOps().MaskProbabilities(p, run, DropoutRate(0.1), 0, *plan, larger), c10::Error);
  EXPECT_THROW(CudaDropoutOps().MaskProbabilities(p.transpose(1, 2), run, DropoutRate(0.1), 0, *plan, out), c10::Error);
}

// The CPU's exp in float32 is within two units in the last place; sums are in another order.
constexpr double kBound(at::ScalarType type) { return type == at::kDouble ? 1e-13 : 3e-6; }

TEST(CudaTileOps, SumsAndWeightsAreTheCpusWithinRounding) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    double worst = 0;
    for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 31}, {7, 257}, {2, 1000}}) {
      const at::Tensor scores = RandomTensor({rows, columns}, type, rows, 30);
      std::vector<int64_t> flat = {0, rows * columns - 1};
      const at::Tensor excluded = columns > 1 ? IndicesOn(at::kCPU, flat) : at::Tensor();
      const auto run = [&](const TileOps& ops, at::Tensor& top, at::Tensor& sum, at::Tensor& weights) {
        top = at::full({rows}, -std::numeric_limits<double>::infinity(), type);
        sum = at::zeros({rows}, type);
        for (int time = 0; time < 2; ++time) {
          at::Tensor tile = scores * (time + 1);
          ops.AccumulateLse(tile, excluded, top, sum);
        }
        weights = scores.clone();
        ops.Weigh(weights, excluded, top, RandomTensor({rows}, type, 9));
      };
      at::Tensor top, sum, weights, expected_top, expected_sum, expected_weights;
      run(CudaTileOps(), top, sum, weights);
      run(CpuTileOps(), expected_top, expected_sum, expected_weights);
      EXPECT_TRUE(at::equal(top, expected_top));
      worst = std::max({worst, LargestRelative(sum, expected_sum), LargestRelative(weights, expected_weights)});
    }
    std::printf("%s: largest relative difference %.2g\n", c10::toString(type), worst);
    EXPECT_LE(worst, kBound(type));
  }
}

TEST(CudaTileOps, FalseNegativesAreThoseOfTheCpu) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor before = RandomTensor({5, 257}, type, 3, 30), limits = RandomTensor({5}, type, 4, 30);
    const at::Tensor excluded = IndicesOn(at::kCPU, std::vector<int64_t>{0, 300, 1284});
    const auto run = [&](const TileOps& ops, at::Tensor& counts, at::Tensor& sums) {
      at::Tensor scores = before.clone();
      ops.IgnoreAbove(scores, excluded, limits, counts, sums);
      return scores;
    };
    at::Tensor counts = at::zeros({5}, at::kDouble), sums = at::zeros({5}, at::kDouble), none;
    at::Tensor expected_counts = at::zeros({5}, at::kDouble), expected_sums = at::zeros({5}, at::kDouble);
    const at::Tensor expected = run(CpuTileOps(), expected_counts, expected_sums);
    EXPECT_TRUE(at::equal(run(CudaTileOps(), counts, sums), expected));
    EXPECT_TRUE(at::equal(run(CudaTileOps(), none, none), expected));
    EXPECT_TRUE(at::equal(counts, expected_counts));
    EXPECT_LE(LargestRelative(sums, expected_sums), 1e-12);
    at::Tensor short_counts = at::zeros({4}, at::kDouble);
    EXPECT_THROW(run(CudaTileOps(), short_counts, sums), c10::Error);
    EXPECT_THROW(run(CudaTileOps(), counts, none), c10::Error);
  }
}

TEST(CudaTileOps, ScatteredValuesAreTheCpus) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor before = RandomTensor({5, 257}, type, 3, 30), values = RandomTensor({300}, type, 4);
    std::vector<int64_t> distinct;
    for (int64_t i = 0; i < 300; ++i) distinct.push_back(i * 4 % 1285);  // 4 and 1285 have no common divisor
    const at::Tensor positions = IndicesOn(at::kCPU, distinct);
    at::Tensor own = before.clone(), expected = before.clone();
    CudaTileOps().Scatter(own, positions, values);
    CpuTileOps().Scatter(expected, positions, values);
    EXPECT_TRUE(at::equal(own, expected)) << type;
    EXPECT_FALSE(at::equal(own, before));
    EXPECT_THROW(CudaTileOps().Scatter(own, positions, values.narrow(0, 0, 299)), c10::Error);
    const at::Tensor other_type = values.to(type == at::kFloat ? at::kDouble : at::kFloat);
    EXPECT_THROW(CudaTileOps().Scatter(own, positions, other_type), c10::Error);
  }
}

// Float64 sums of the same products in another order. Rows that are not dense take the form of other devices.
TEST(CudaTileOps, LengthsAndPairsAreTheCpus) {
  double worst = 0;
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const int64_t width : {1, 7, 37, 256, 263, 768}) {
      for (const bool cut : {false, true}) {
        const auto embeddings = [&](int64_t count, uint64_t seed) {
          return cut ? RandomTensor({count, width + 3}, type, seed).narrow(1, 0, width)
                     : RandomTensor({count, width}, type, seed);
        };
        const at::Tensor queries = embeddings(5, 1), passages = embeddings(13, 2);
        const at::Tensor direction = RandomTensor({width}, at::kDouble, 3);
        std::vector<int64_t> row_list, column_list;
        for (int64_t i = 0; i < 21; ++i) row_list.push_back(i * 3 % 5), column_list.push_back(i * 5 % 13);
        const at::Tensor rows = IndicesOn(at::kCPU, row_list), columns = IndicesOn(at::kCPU, column_list);
        const auto run = [&](const TileOps& ops) {
          std::vector<at::Tensor> results = {at::empty({5}, at::kDouble), at::empty({5}, at::kDouble),
                                             at::empty({21}, at::kDouble)};
          ops.MeasureRows(queries, direction, results[0], results[1]);
          ops.PairDots(queries, passages, rows, columns, results[2]);
          return results;
        };
        const auto own = run(CudaTileOps()), expected = run(CpuTileOps());
        for (size_t i = 0; i < own.size(); ++i) {
          // Relative to a sum of `width` products of sizes below 1, since terms of a product cancel.
          worst = std::max(worst, (own[i] - expected[i]).abs().max().item<double>() / static_cast<double>(width));
        }
      }
    }
  }
  std::printf("largest difference per number of a row %.2g\n", worst);
  EXPECT_LE(worst, 1e-15);
}

TEST(CudaTileOps, NoPairsAndNoRowsAreNothing) {
  const at::Tensor none = at::empty({0, 8}), indices = IndicesOn(at::kCPU, std::vector<int64_t>{});
  at::Tensor squares = at::empty({0}, at::kDouble), along = at::empty_like(squares), dots = at::empty_like(squares);
  CudaTileOps().MeasureRows(none, at::zeros({8}, at::kDouble), squares, along);
  CudaTileOps().PairDots(none, at::zeros({3, 8}), indices, indices, dots);
}

TEST(CudaTileOps, EmbeddingsThatDoNotMatchAreRefused) {
  const at::Tensor queries = at::zeros({2, 8}), wide = at::zeros({3, 9}), wide_numbers = at::zeros({9}, at::kDouble);
  const at::Tensor indices = IndicesOn(at::kCPU, std::vector<int64_t>{0, 1});
  at::Tensor two = at::empty({2}, at::kDouble), three = at::empty({3}, at::kDouble), floats = at::empty({2});
  EXPECT_THROW(CudaTileOps().MeasureRows(queries, wide_numbers, two, two), c10::Error);
  EXPECT_THROW(CudaTileOps().MeasureRows(queries, at::zeros({8}, at::kDouble), three, two), c10::Error);
  EXPECT_THROW(CudaTileOps().PairDots(queries, wide, indices, indices, two), c10::Error);
  EXPECT_THROW(CudaTileOps().PairDots(queries, queries.to(at::kDouble), indices, indices, two), c10::Error);
  EXPECT_THROW(CudaTileOps().PairDots(queries, queries, indices, indices, three), c10::Error);
  EXPECT_THROW(CudaTileOps().PairDots(queries, queries, indices, indices, floats), c10::Error);
}

}  // namespace
}  // namespace muster
