#include "common/statistics/summary.h"

#include <gtest/gtest.h>

#include <iostream>

#include "common/statistics/testing/populations.h"

namespace muster {
namespace {

TEST(Summary, EqualsHandComputedValues) {
  const std::vector<double> values = {2, 4, 4, 4, 5, 5, 7, 9};
  EXPECT_EQ(Mean(values), 5);
  EXPECT_NEAR(StandardDeviation(values), std::sqrt(32.0 / 7), 1e-15);
  EXPECT_EQ(Mean({}), 0);
  EXPECT_EQ(StandardDeviation({3}), 0);
  EXPECT_EQ(StandardDeviation({0.1, 0.1, 0.1}), 0) << "no rounding";
}

// scipy.stats.t.interval(0.95, 4, loc=mean, scale=sem) of these five values.
TEST(StudentInterval, EqualsScipy) {
  const std::vector<double> seeds = {0.641, 0.652, 0.638, 0.660, 0.649};
  const Interval interval = StudentInterval(seeds);
  EXPECT_NEAR(interval.low, 0.6370691246900, 1e-12);
  EXPECT_NEAR(interval.high, 0.6589308753100, 1e-12);
  EXPECT_EQ(StudentInterval({0.5}).low, 0.5);
}

TEST(StudentInterval, CoversTheTruthOfFiveSeedsIn95PercentOfDraws) {
  constexpr uint64_t kSeed = 7;
  constexpr int kDraws = 1000;
  CounterRandom random(kSeed);
  int covered = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const Interval interval = StudentInterval(DrawMany({"seeds", 0, DrawNormal}, 5, random));
    covered += interval.low <= 0 && 0 <= interval.high;
  }
  std::cout << "seed " << kSeed << ": " << covered << " of " << kDraws << "\n";
  EXPECT_NEAR(covered, 0.95 * kDraws, 0.02 * kDraws);
}

}  // namespace
}  // namespace muster
