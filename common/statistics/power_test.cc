#include "common/statistics/power.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "common/statistics/paired.h"
#include "common/statistics/testing/populations.h"

namespace muster {
namespace {

// G*Power's and statsmodels' TTestPower().solve_power for the paired test: 33.37, 198.15 and 14.30 pairs.
TEST(Power, EqualsPublishedSampleSizes) {
  EXPECT_EQ(PairsNeeded(0.5, 1, {}), 34);
  EXPECT_EQ(PairsNeeded(0.2, 1, {}), 199);
  EXPECT_EQ(PairsNeeded(-0.8, 1, {}), 15);
  EXPECT_EQ(PairsNeeded(0, 1, {}), std::nullopt);
  EXPECT_EQ(PairsNeeded(1e-9, 1, {}), std::nullopt);
  EXPECT_EQ(PairsNeeded(0.1, 0, {}), 2);
}

// scipy.stats.nct (1.17.1), two-sided.
TEST(Power, EqualsScipysNoncentralT) {
  EXPECT_NEAR(PairedPower(10, 1, 0.05), 0.8030968566327219, 1e-9);
  EXPECT_NEAR(PairedPower(50, 0.4, 0.05), 0.7917871892678123, 1e-9);
  EXPECT_NEAR(PairedPower(300, 0.1, 0.05), 0.40780935289326653, 1e-9);
  EXPECT_NEAR(PairedPower(5, 3, 0.01), 0.8947142418520224, 1e-9);
  EXPECT_NEAR(PairedPower(2, 10, 0.05), 0.7328195898057123, 1e-9);
  EXPECT_NEAR(PairedPower(6980, 0.04, 0.05 / 6), 0.7588989662335399, 1e-9);
}

TEST(Power, OfNoDifferenceIsTheLevel) {
  for (const int64_t count : {2, 5, 300, 200'000}) EXPECT_NEAR(PairedPower(count, 0, 0.05), 0.05, 1e-9) << count;
  EXPECT_EQ(PairedPower(1, 1, 0.05), 0);
}

TEST(Power, GrowsWithPairsAndEffectEverywhere) {
  for (const int64_t count : {2, 3, 5, 20, 1000, 100'000, 100'002, 10'000'000}) {
    double before = 0;
    for (double effect = 0; effect < 50; effect += effect < 1 ? 0.01 : 0.5) {
      const double power = PairedPower(count, effect, 0.05);
      ASSERT_GE(power, before - 1e-9) << count << " pairs, effect " << effect;
      ASSERT_LE(power, 1);
      before = power;
    }
  }
  EXPECT_NEAR(PairedPower(100'001, 0.01, 0.05), PairedPower(100'002, 0.01, 0.05), 1e-4);
}

TEST(Power, OfTheDetectableDifferenceIsWhatWasAskedFor) {
  for (const int64_t count : {2, 5, 50, 300, 6980}) {
    const double difference = DetectableDifference(count, 0.25, {.alpha = 0.05 / 3, .power = 0.8});
    EXPECT_NEAR(PairedPower(count, difference / 0.25, 0.05 / 3), 0.8, 1e-9) << count;
    EXPECT_EQ(PairsNeeded(difference * 1.000001, 0.25, {.alpha = 0.05 / 3, .power = 0.8}), count);
  }
}

TEST(Power, IsTheShareOfPlantedDifferencesThatTheTestsFind) {
  constexpr uint64_t kSeed = 5;
  constexpr int kDraws = 1000;
  std::cout << "seed " << kSeed << "\n";
  for (const auto& [count, effect] : {std::pair(10, 1.0), std::pair(50, 0.4), std::pair(300, 0.1)}) {
    CounterRandom random(MixKey(kSeed, count));
    int by_t = 0, by_flips = 0;
    for (int draw = 0; draw < kDraws; ++draw) {
      std::vector<double> differences;
      for (int i = 0; i < count; ++i) differences.push_back(effect + DrawNormal(random));
      by_t += TestByT(differences).p <= 0.05;
      by_flips += TestBySignFlips(differences, {.seed = static_cast<uint64_t>(draw), .flips = 2000}).p <= 0.05;
    }
    const double power = PairedPower(count, effect, 0.05);
    const double tolerance = 3 * std::sqrt(power * (1 - power) * kDraws);  // of the binomial count
    std::cout << count << " pairs, effect " << effect << ": power " << power << ", found by t " << by_t << ", by sign flips "
              << by_flips << " of " << kDraws << "\n";
    EXPECT_NEAR(by_t, power * kDraws, tolerance);
    EXPECT_NEAR(by_flips, power * kDraws, tolerance + 0.01 * kDraws) << "the power is that of the t test";
  }
}

}  // namespace
}  // namespace muster
