#include "common/statistics/bootstrap.h"

#include <gtest/gtest.h>

#include <iostream>

#include "common/statistics/testing/populations.h"

namespace muster {
namespace {

constexpr uint64_t kSeed = 20260601;
constexpr int kDraws = 1000;

TEST(BootstrapIntervals, CoverTheTruthIn95PercentOfDraws) {
  std::cout << "seed " << kSeed << "\n";
  for (const Population& population : Populations()) {
    for (const int queries : {50, 100, 300}) {
      if (queries < population.least_queries) continue;
      CounterRandom random(MixKey(kSeed, queries));
      int covered = 0;
      for (int draw = 0; draw < kDraws; ++draw) {
        const Interval interval = BootstrapInterval(DrawMany(population, queries, random),
                                                    {.seed = static_cast<uint64_t>(draw), .resamples = 1000});
        covered += interval.low <= population.mean && population.mean <= interval.high;
      }
      std::cout << population.name << ", " << queries << " queries: " << covered << " of " << kDraws << "\n";
      EXPECT_NEAR(covered, 0.95 * kDraws, 0.02 * kDraws) << population.name << ", " << queries << " queries";
    }
  }
}

TEST(BootstrapIntervals, AreNotTooNarrowForTenNormalValues) {
  CounterRandom random(kSeed);
  const Population normal{"normal", 0, DrawNormal};
  int covered = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const Interval interval =
        BootstrapInterval(DrawMany(normal, 10, random), {.seed = static_cast<uint64_t>(draw), .resamples = 1000});
    covered += interval.low <= 0 && 0 <= interval.high;
  }
  std::cout << "seed " << kSeed << ": " << covered << " of " << kDraws << "\n";
  EXPECT_NEAR(covered, 0.95 * kDraws, 0.02 * kDraws);
}

TEST(BootstrapIntervals, AreAFunctionOfValuesAndSeed) {
  CounterRandom random(kSeed);
  const std::vector<double> values = DrawMany(Populations()[0], 40, random);
  const Interval first = BootstrapInterval(values, {.seed = 1}), again = BootstrapInterval(values, {.seed = 1});
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  EXPECT_NE(first.low, BootstrapInterval(values, {.seed = 2}).low);
}

TEST(BootstrapIntervals, OfSeveralColumnsEqualThoseOfEach) {
  CounterRandom random(kSeed);
  const std::vector<std::vector<double>> columns = {DrawMany(Populations()[0], 40, random),
                                                    DrawMany(Populations()[4], 40, random)};
  const auto together = BootstrapIntervals(columns, {.seed = 3});
  for (size_t c = 0; c < columns.size(); ++c) {
    EXPECT_EQ(together[c].low, BootstrapInterval(columns[c], {.seed = 3}).low);
    EXPECT_EQ(together[c].high, BootstrapInterval(columns[c], {.seed = 3}).high);
  }
}

TEST(BootstrapIntervals, StayInsideTheValuesAndAroundTheMean) {
  for (const int failures : {1, 2, 5}) {  // a studentized interval would reach from 0 to 1 here
    std::vector<double> values(300, 1.0);
    for (int i = 0; i < failures; ++i) values[i] = 0;
    const Interval interval = BootstrapInterval(values, {.seed = 4});
    EXPECT_LT(interval.low, Mean(values));
    EXPECT_GE(interval.high, Mean(values));
    EXPECT_LE(interval.high, 1);
    EXPECT_GT(interval.low, 0.94);
  }
}

TEST(BootstrapIntervals, OfEqualValuesHaveNoWidth) {
  for (const size_t count : {1, 2, 100}) {
    const Interval interval = BootstrapInterval(std::vector<double>(count, 0.1), {.seed = 5});
    EXPECT_EQ(interval.low, 0.1);
    EXPECT_EQ(interval.high, 0.1);
  }
}

}  // namespace
}  // namespace muster
