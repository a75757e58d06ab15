#include "worker/rank/loss/row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "common/random.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the enumeration's values

constexpr Objective kAll[] = {OBJECTIVE_JOINTLH, OBJECTIVE_JOINTLH_SUM, OBJECTIVE_RAND1LH, OBJECTIVE_SUMMARGLH,
                              OBJECTIVE_LSEPAIR, OBJECTIVE_MEAN1LH};
constexpr double kNone = -std::numeric_limits<double>::infinity();

struct Row {
  RowGradient out;
  std::vector<double> d;
};
Row Evaluate(Objective objective, const std::vector<double>& positives, double a,
             const std::vector<double>& weights = {}) {
  Row row{.d = std::vector<double>(positives.size())};
  row.out = EvaluateRow(objective, positives, weights, a, row.d);
  return row;
}

std::vector<double> Scores(CounterRandom& random, size_t count, double scale) {
  std::vector<double> scores(count);
  for (double& score : scores) score = scale * (2 * random.Uniform() - 1);
  return scores;
}

double Softplus(double x) { return std::log1p(std::exp(x)); }

TEST(LossRow, GradientsSumToZero) {
  CounterRandom random(1);
  for (const Objective objective : kAll) {
    for (size_t m = 1; m <= 5; ++m) {
      for (const std::vector<double>& weights : {std::vector<double>(), std::vector<double>{1, 2, 3, 1, 2}}) {
        const std::vector<double> own(weights.begin(), weights.begin() + (weights.empty() ? 0 : m));
        const Row row = Evaluate(objective, Scores(random, m, 6), 6 * random.Uniform(), own);
        double sum = row.out.push;  // times the sum of exp(s_n - A), which is 1
        for (const double d : row.d) sum += d;
        EXPECT_NEAR(sum, 0, 1e-12) << Objective_Name(objective) << " m=" << m;
      }
    }
  }
}

TEST(LossRow, AllObjectivesAgreeOnOnePositive) {
  for (const Objective objective : kAll) {
    const Row row = Evaluate(objective, {1.5}, 2.25);
    EXPECT_NEAR(row.out.loss, Softplus(0.75), 1e-12) << Objective_Name(objective);
    EXPECT_NEAR(row.d[0], -1 / (1 + std::exp(-0.75)), 1e-12);
  }
}

TEST(LossRow, MatchesFiniteDifferences) {
  CounterRandom random(2);
  for (const Objective objective : kAll) {
    for (const std::vector<double>& weights : {std::vector<double>(), std::vector<double>{1, 3, 2}}) {
      std::vector<double> s = Scores(random, 3, 3);
      const double a = random.Uniform(), h = 1e-6;
      const Row row = Evaluate(objective, s, a, weights);
      for (size_t p = 0; p < s.size(); ++p) {
        std::vector<double> up = s, down = s;
        up[p] += h;
        down[p] -= h;
        const double slope =
            (Evaluate(objective, up, a, weights).out.loss - Evaluate(objective, down, a, weights).out.loss) / (2 * h);
        EXPECT_NEAR(row.d[p], slope, 1e-8) << Objective_Name(objective);
      }
      const double slope =
          (Evaluate(objective, s, a + h, weights).out.loss - Evaluate(objective, s, a - h, weights).out.loss) / (2 * h);
      EXPECT_NEAR(row.out.push, slope, 1e-8) << Objective_Name(objective);
    }
  }
}

TEST(LossRow, LsePairIsNeverBelowSumMargLh) {
  CounterRandom random(3);
  for (int trial = 0; trial < 200; ++trial) {
    const auto s = Scores(random, 1 + random.Below(6), 10);
    const double a = 20 * random.Uniform() - 10;
    EXPECT_GE(Evaluate(OBJECTIVE_LSEPAIR, s, a).out.loss, Evaluate(OBJECTIVE_SUMMARGLH, s, a).out.loss - 1e-12);
  }
}

TEST(LossRow, JointLhPushesAPositiveDownOnceItsShareIsAboveOneOverMAndLsePairNever) {
  CounterRandom random(5);
  int64_t down = 0, up = 0;
  for (int trial = 0; trial < 500; ++trial) {
    const auto s = Scores(random, 1 + random.Below(6), 8);
    const double a = 16 * random.Uniform() - 8;
    double z = std::exp(a);
    for (const double score : s) z += std::exp(score);
    const Row joint = Evaluate(OBJECTIVE_JOINTLH, s, a), pair = Evaluate(OBJECTIVE_LSEPAIR, s, a);
    for (size_t p = 0; p < s.size(); ++p) {
      const double excess = std::exp(s[p]) / z - 1.0 / static_cast<double>(s.size());
      if (std::abs(excess) < 1e-9) continue;
      EXPECT_EQ(joint.d[p] > 0, excess > 0);
      ++(excess > 0 ? down : up);
      EXPECT_LE(pair.d[p], 0);
    }
  }
  EXPECT_GT(down, 100);
  EXPECT_GT(up, 100);
}

TEST(LossRow, AConstantOnAllScoresChangesNothing) {
  CounterRandom random(4);
  for (const Objective objective : kAll) {
    auto s = Scores(random, 4, 5);
    const double before = Evaluate(objective, s, 1).out.loss;
    for (double& score : s) score += 37;
    EXPECT_NEAR(Evaluate(objective, s, 38).out.loss, before, 1e-10) << Objective_Name(objective);
  }
}

TEST(LossRow, IsFiniteForScoresOfTenThousand) {
  for (const Objective objective : kAll) {
    for (const double a : {-1e4, 0.0, 1e4, kNone}) {
      const Row row = Evaluate(objective, {1e4, -1e4, 0}, a);
      EXPECT_TRUE(std::isfinite(row.out.loss) && std::isfinite(row.out.push)) << Objective_Name(objective);
      for (const double d : row.d) EXPECT_TRUE(std::isfinite(d)) << Objective_Name(objective);
    }
  }
}

TEST(LossRow, Rand1LhOverItsChoicesIsTheMeanOfSingles) {
  const std::vector<double> s = {1, -2, 3};
  double mean = 0;
  for (const double score : s) mean += Evaluate(OBJECTIVE_RAND1LH, {score}, 0.5).out.loss / 3;
  EXPECT_NEAR(Evaluate(OBJECTIVE_RAND1LH, s, 0.5).out.loss, mean, 1e-12);
  EXPECT_NEAR(mean, (Softplus(-0.5) + Softplus(2.5) + Softplus(-2.5)) / 3, 1e-12);
}

TEST(LossRow, GradesAreTheProbabilitiesOfMean1Lh) {
  const std::vector<double> s = {1, -2, 3}, grades = {1, 3, 4};
  const Row mean = Evaluate(OBJECTIVE_MEAN1LH, s, 0.5, grades);
  double loss = 0, push = 0;
  for (size_t p = 0; p < s.size(); ++p) {
    const Row single = Evaluate(OBJECTIVE_RAND1LH, {s[p]}, 0.5);
    loss += single.out.loss * grades[p] / 8;
    push += single.out.push * grades[p] / 8;
    EXPECT_NEAR(mean.d[p], single.d[0] * grades[p] / 8, 1e-12);
  }
  EXPECT_NEAR(mean.out.loss, loss, 1e-12);
  EXPECT_NEAR(mean.out.push, push, 1e-12);
}

TEST(LossRow, WithoutNegativesOnlyJointLhHasALoss) {
  const std::vector<double> s = {1, -2, 3};
  for (const Objective objective : {OBJECTIVE_RAND1LH, OBJECTIVE_SUMMARGLH, OBJECTIVE_LSEPAIR, OBJECTIVE_MEAN1LH}) {
    const Row row = Evaluate(objective, s, kNone);
    EXPECT_EQ(row.out.loss, 0);
    EXPECT_EQ(row.out.push, 0);
    for (const double d : row.d) EXPECT_EQ(d, 0);
  }
  const double lse = std::log(std::exp(1) + std::exp(-2) + std::exp(3));
  EXPECT_NEAR(Evaluate(OBJECTIVE_JOINTLH, s, kNone).out.loss, lse - 2.0 / 3, 1e-12);
}

TEST(LossRow, EqualGradesGiveTheUnweightedLoss) {
  for (const Objective objective : kAll) {
    const Row plain = Evaluate(objective, {1, 2, -1}, 0.3), graded = Evaluate(objective, {1, 2, -1}, 0.3, {3, 3, 3});
    EXPECT_NEAR(plain.out.loss, graded.out.loss, 1e-12) << Objective_Name(objective);
    for (size_t p = 0; p < 3; ++p) EXPECT_NEAR(plain.d[p], graded.d[p], 1e-12);
  }
}

}  // namespace
}  // namespace muster
