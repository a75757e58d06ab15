#include "common/statistics/paired.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "common/statistics/testing/populations.h"

namespace muster {
namespace {

constexpr uint64_t kSeed = 42;
constexpr int kDraws = 1000;
// 5% of 1,000 draws, and 2.33 standard deviations of the binomial count: a correct test exceeds it in 1% of such runs.
constexpr double kMostFalse = 50 + 2.33 * 6.89;

// scipy.stats.ttest_rel and scipy.stats.permutation_test (permutation_type="samples", all 2^8) of these differences.
TEST(PairedTests, EqualScipy) {
  const std::vector<double> differences = {0.1, -0.02, 0.3, 0.05, 0.12, -0.07, 0.2, 0.01};
  const PairedTTest test = TestByT(differences);
  EXPECT_NEAR(test.t, 2.0131816612798, 1e-12);
  EXPECT_NEAR(test.p, 0.0839707357582, 1e-12);
  EXPECT_EQ(test.degrees, 7);
  const RandomizationTest exact = TestBySignFlips(differences, {.seed = kSeed});
  EXPECT_TRUE(exact.exact);
  EXPECT_EQ(exact.flips, 256);
  EXPECT_EQ(exact.p, 22.0 / 256);
}

TEST(PairedTests, OfNoDifferenceFindNone) {
  for (const std::vector<double>& differences : {std::vector<double>{}, {0}, {0, 0, 0}, {0.5, -0.5}}) {
    EXPECT_EQ(TestByT(differences).p, 1);
    EXPECT_EQ(TestBySignFlips(differences, {}).p, 1);
    EXPECT_EQ(PairedEffectSize(differences), 0);
  }
}

TEST(PairedTests, OfEqualDifferencesAreDefined) {
  const std::vector<double> differences(6, 0.1);
  EXPECT_EQ(TestByT(differences).p, 0);
  EXPECT_TRUE(std::isinf(PairedEffectSize(differences)));
  EXPECT_EQ(TestBySignFlips(differences, {}).p, 2.0 / 64) << "all signs alike, up or down";
}

TEST(SignFlips, OfManyQueriesAgreeWithAllAssignments) {
  CounterRandom random(kSeed);
  std::vector<double> differences;
  for (int i = 0; i < 20; ++i) differences.push_back(DrawNormal(random) + 0.4);
  const double exact = TestBySignFlips(differences, {.seed = kSeed}).p;
  // Differences of 1e-9 raise the number of queries to 21, so that signs are drawn at random, and barely change the
  // sums.
  differences.push_back(1e-9);
  const RandomizationTest drawn = TestBySignFlips(differences, {.seed = kSeed});
  EXPECT_FALSE(drawn.exact);
  EXPECT_EQ(drawn.flips, 100'000);
  EXPECT_NEAR(drawn.p, exact, 4 * std::sqrt(exact * (1 - exact) / 100'000)) << "seed " << kSeed;
  EXPECT_EQ(drawn.p, TestBySignFlips(differences, {.seed = kSeed}).p);
}

TEST(SignFlips, CountSumsThatRoundingMovesAsEqual) {
  // 0.1 + 0.2 and 0.3 differ in float64.
  const std::vector<double> differences = {0.1, 0.2, -0.3, 0.3};
  EXPECT_EQ(TestBySignFlips(differences, {}).p, 12.0 / 16);
}

TEST(SignFlips, NeverReportZero) {
  EXPECT_EQ(TestBySignFlips(std::vector<double>(200, 1.0), {.flips = 1000}).p, 1.0 / 1000);
}

// Two equally good systems: each query's values of A and B come from the same distribution around the query's own
// level.
std::vector<double> AlikeDifferences(int queries, CounterRandom& random) {
  std::vector<double> differences;
  for (int q = 0; q < queries; ++q) {
    const double level = DrawNdcg(random);
    const auto value = [&] { return random.Uniform() < 0.5 ? level : DrawNdcg(random); };
    const double a = value();
    differences.push_back(value() - a);
  }
  return differences;
}

TEST(PairedTests, CallEqualRunsDifferentInAtMost5Percent) {
  for (const int queries : {12, 50, 300}) {
    CounterRandom random(MixKey(kSeed, queries));
    int by_t = 0, by_flips = 0;
    for (int draw = 0; draw < kDraws; ++draw) {
      const std::vector<double> differences = AlikeDifferences(queries, random);
      by_t += TestByT(differences).p <= 0.05;
      by_flips += TestBySignFlips(differences, {.seed = static_cast<uint64_t>(draw), .flips = 2000}).p <= 0.05;
    }
    std::cout << "seed " << kSeed << ", " << queries << " queries: t " << by_t << ", sign flips " << by_flips << " of "
              << kDraws << "\n";
    EXPECT_LE(by_t, kMostFalse) << queries;
    EXPECT_LE(by_flips, kMostFalse) << queries;
  }
}

TEST(CountWins, TakesRoundingForATie) {
  const Wins counts = CountWins({0.1 + 0.2 - 0.3, 0.5, 0.5, -1, 0});
  EXPECT_EQ(counts.wins, 2);
  EXPECT_EQ(counts.ties, 2);
  EXPECT_EQ(counts.losses, 1);
}

}  // namespace
}  // namespace muster
