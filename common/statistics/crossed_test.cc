#include "common/statistics/crossed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "common/statistics/paired.h"
#include "common/statistics/testing/populations.h"

namespace muster {
namespace {

using Differences = std::vector<std::vector<double>>;

// `components` are variances.
Differences DrawCrossed(const CrossedComponents& components, int seeds, int queries, double mean, CounterRandom& random) {
  std::vector<double> of_query;
  for (int q = 0; q < queries; ++q) of_query.push_back(std::sqrt(components.queries) * DrawNormal(random));
  Differences differences;
  for (int s = 0; s < seeds; ++s) {
    const double of_seed = mean + std::sqrt(components.seeds) * DrawNormal(random);
    std::vector<double>& row = differences.emplace_back();
    for (int q = 0; q < queries; ++q) {
      row.push_back(of_seed + of_query[q] + std::sqrt(components.residual) * DrawNormal(random));
    }
  }
  return differences;
}

// Rows 1 2 3 and 3 4 8: the mean squares are 27/2 of seeds, 13/2 of queries and 3/2 of the rest, by hand.
TEST(Crossed, EqualsMeanSquaresByHand) {
  const CrossedTest test = TestCrossed({{1, 2, 3}, {3, 4, 8}});
  EXPECT_DOUBLE_EQ(test.mean, 3.5);
  EXPECT_NEAR(test.components.residual, 1.5, 1e-12);
  EXPECT_NEAR(test.components.seeds, (13.5 - 1.5) / 3, 1e-12);
  EXPECT_NEAR(test.components.queries, (6.5 - 1.5) / 2, 1e-12);
  EXPECT_NEAR(test.error * test.error, (13.5 + 6.5 - 1.5) / 6, 1e-12);
  EXPECT_NEAR(test.degrees, 18.5 * 18.5 / (13.5 * 13.5 + 6.5 * 6.5 / 2 + 1.5 * 1.5 / 2), 1e-12);
}

TEST(Crossed, IsNeverSurerThanTheTestOverSeedsAndItsIntervalAgreesWithP) {
  constexpr uint64_t kSeed = 11;
  std::cout << "seed " << kSeed << "\n";
  CounterRandom random(kSeed);
  for (int draw = 0; draw < 300; ++draw) {
    const int seeds = 2 + static_cast<int>(random.Below(4)), queries = 2 + static_cast<int>(random.Below(30));
    const CrossedComponents components = {random.Uniform(), random.Uniform(), random.Uniform()};
    const Differences differences = DrawCrossed(components, seeds, queries, 3 * random.Uniform(), random);
    const CrossedTest test = TestCrossed(differences);
    std::vector<double> means;
    for (const std::vector<double>& row : differences) means.push_back(Mean(row));
    EXPECT_NEAR(test.p_seeds, TestByT(means).p, 1e-9);
    EXPECT_GE(test.p, test.p_seeds);
    EXPECT_EQ(test.p<0.05, test.interval.low> 0 || test.interval.high < 0) << test.p;
  }
}

TEST(Crossed, EqualDifferencesHaveNoSpread) {
  const CrossedTest same = TestCrossed({{0.1, 0.1}, {0.1, 0.1}, {0.1, 0.1}});
  EXPECT_EQ(same.error, 0);
  EXPECT_EQ(same.p, 0);
  EXPECT_EQ(same.interval.low, 0.1);
  EXPECT_EQ(TestCrossed({{0, 0}, {0, 0}}).p, 1);
}

// Also at the levels that Holm's correction needs.
TEST(Crossed, ErrsAtMostAsOftenAsItsLevelWhereverTheSpreadComesFrom) {
  constexpr int kDraws = 3000;
  constexpr uint64_t kSeed = 12;
  std::cout << "seed " << kSeed << "\n";
  CounterRandom random(kSeed);
  for (const auto& components : {CrossedComponents{0, 0, 0.04}, CrossedComponents{0.0004, 0.0025, 0.04},
                                 CrossedComponents{0.0004, 0, 0.01}, CrossedComponents{0, 0.01, 0.04}}) {
    for (const int seeds : {2, 3, 5}) {
      int at_5 = 0, at_1 = 0;
      for (int draw = 0; draw < kDraws; ++draw) {
        const double p = TestCrossed(DrawCrossed(components, seeds, 30, 0, random)).p;
        at_5 += p <= 0.05;
        at_1 += p <= 0.01;
      }
      std::cout << seeds << " seeds, variances " << components.seeds << " " << components.queries << " " << components.residual
                << ": " << 100.0 * at_5 / kDraws << "% at 5%, " << 100.0 * at_1 / kDraws << "% at 1%\n";
      EXPECT_LE(at_5, kDraws * 0.05 + 3 * std::sqrt(kDraws * 0.05 * 0.95));
      EXPECT_LE(at_1, kDraws * 0.01 + 3 * std::sqrt(kDraws * 0.01 * 0.99));
    }
  }
}

TEST(Crossed, SeedsNeededFindTheDifferenceAtTheStatedPower) {
  constexpr int kDraws = 1000;
  constexpr uint64_t kSeed = 13;
  std::cout << "seed " << kSeed << "\n";
  CounterRandom random(kSeed);
  const PowerOptions options{.alpha = 0.01, .power = 0.8};
  for (const auto& components : {CrossedComponents{0.0004, 0.001, 0.01}, CrossedComponents{0.0001, 0.0025, 0.04}}) {
    const std::optional<int64_t> seeds = SeedsNeeded(components, 100, 0.03, options);
    ASSERT_TRUE(seeds.has_value());
    EXPECT_LT(CrossedPower(components, *seeds - 1, 100, 0.03, options.alpha), 0.8);
    int found = 0;
    for (int draw = 0; draw < kDraws; ++draw) {
      found += TestCrossed(DrawCrossed(components, static_cast<int>(*seeds), 100, 0.03, random)).p <= options.alpha;
    }
    std::cout << *seeds << " seeds find it in " << 100.0 * found / kDraws << "% of studies\n";
    EXPECT_GE(found, kDraws * 0.8 - 3 * std::sqrt(kDraws * 0.8 * 0.2));
    EXPECT_NEAR(CrossedPower(components, *seeds, 100, DetectableCrossed(components, *seeds, 100, options), options.alpha), 0.8,
                1e-6);
  }
}

TEST(Crossed, NoNumberOfSeedsReplacesQueries) {
  // The spread over queries alone gives a standard error of 0.01.
  EXPECT_EQ(SeedsNeeded({.seeds = 0, .queries = 0.01, .residual = 0.01}, 100, 0.01, {}), std::nullopt);
  EXPECT_EQ(SeedsNeeded({.seeds = 0.01, .queries = 0, .residual = 0}, 100, 0, {}), std::nullopt);
  EXPECT_TRUE(SeedsNeeded({.seeds = 0, .queries = 0.01, .residual = 0.01}, 10'000, 0.01, {}).has_value());
}

}  // namespace
}  // namespace muster
