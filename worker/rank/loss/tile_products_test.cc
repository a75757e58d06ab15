#include "worker/rank/loss/tile_products.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "common/random.h"

namespace muster {
namespace {

// Numbers of both signs, with magnitudes over `decades` powers of ten.
at::Tensor RandomMatrix(int64_t rows, int64_t columns, double decades, uint64_t seed) {
  CounterRandom random(seed);
  at::Tensor matrix = at::empty({rows, columns}, at::kDouble);
  for (int64_t i = 0; i < matrix.numel(); ++i) {
    matrix.data_ptr<double>()[i] = (2 * random.Uniform() - 1) * std::pow(10, -decades * random.Uniform());
  }
  return matrix.to(at::kFloat);
}

// The largest error of `product` of a and b, relative to sum |a_i| |b_i|.
double ErrorOf(const at::Tensor& product, const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return ((product.to(at::kDouble) - at::matmul(x, y)).abs() / at::matmul(x.abs(), y.abs())).max().item<double>();
}

constexpr double kSums = 64 * 0x1.0p-24;  // rounding of 384 float32 additions, with room

constexpr double kBound = 5 * 0x1.0p-24 + kSums;

TEST(TileProducts, PartsAddUpToTheMatrix) {
  const at::Tensor x = RandomMatrix(40, 50, 6, 1);
  const Operand split = Operand::Split(x);
  ASSERT_EQ(split.parts().size(), 3);
  at::Tensor rest = x.to(at::kDouble);
  double left = 1;
  for (const at::Tensor& part : split.parts()) {
    EXPECT_EQ(part.scalar_type(), at::kBFloat16);
    rest = rest - part.to(at::kDouble);
    left /= 256;
    EXPECT_LE((rest.abs() / x.to(at::kDouble).abs()).max().item<double>(), left);
  }
  EXPECT_EQ(Operand::Split(x.to(at::kBFloat16)).parts().size(), 1);  // exact without a split
}

TEST(TileProducts, SplitScoresHaveTheAccuracyOfFloat32) {
  for (const double decades : {0.0, 5.0}) {
    const at::Tensor q = RandomMatrix(60, 384, decades, 2), p = RandomMatrix(70, 384, decades, 3);
    at::Tensor split = at::empty({60, 70}), plain = at::empty({60, 70});
    Scores(Operand::Split(q), Operand::Split(p), 20, split);
    Scores(Operand::Whole(q), Operand::Whole(p), 20, plain);
    const double error = ErrorOf(split / 20, q, p.t());
    std::printf("error %.2e, of float32 %.2e\n", error, ErrorOf(plain / 20, q, p.t()));
    EXPECT_LE(error, kBound);
  }
}

TEST(TileProducts, SplitGradientsHaveTheAccuracyOfFloat32) {
  for (const double decades : {0.0, 5.0}) {
    const at::Tensor w = RandomMatrix(60, 500, decades, 4);
    const Operand weights = Operand::Split(w);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor e = RandomMatrix(500, 96, 0, 5).to(type), q = RandomMatrix(60, 96, 0, 6).to(type);
      at::Tensor out = at::zeros({60, 96}), transposed = at::zeros({500, 96}), plain = at::zeros({60, 96});
      AddWeighted(weights, Operand::Split(e), out);
      AddWeighted(weights.Transposed(), Operand::Split(q), transposed);
      AddWeighted(Operand::Whole(w), Operand::Whole(e), plain);
      std::printf("error %.2e, of float32 %.2e\n", ErrorOf(out, w, e), ErrorOf(plain, w, e));
      EXPECT_LE(ErrorOf(out, w, e), kBound);
      EXPECT_LE(ErrorOf(transposed, w.t(), q), kBound);
    }
  }
}

TEST(TileProducts, ScoresOverwriteAndGradientsAreAdded) {
  const at::Tensor x = RandomMatrix(4, 8, 0, 7);
  for (const bool split : {false, true}) {
    const Operand operand = split ? Operand::Split(x) : Operand::Whole(x);
    at::Tensor scores = at::empty({4, 4}).fill_(std::nanf("")), sum = at::zeros({4, 8});
    Scores(operand, operand, 1, scores);
    EXPECT_LE(ErrorOf(scores, x, x.t()), kSums);
    sum.fill_(100);
    AddWeighted(split ? Operand::Split(scores) : Operand::Whole(scores), operand, sum);
    EXPECT_LE((sum - 100 - at::matmul(scores, x)).abs().max().item<double>(), 1e-4);
  }
}

}  // namespace
}  // namespace muster
