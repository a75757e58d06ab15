#include "client/runs/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>

#include "client/runs/run_flags.h"
#include "common/statistics/testing/populations.h"

namespace muster {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uint64_t kSeed = 3;

// Values of A, and B that is better by `shift` on average.
std::pair<RunValues, RunValues> Runs(int queries, double shift, double spread, uint64_t seed = kSeed) {
  CounterRandom random(seed);
  RunValues a(1), b(1);
  for (int q = 0; q < queries; ++q) {
    a[0].push_back(DrawNdcg(random));
    b[0].push_back(a[0].back() + shift + spread * DrawNormal(random));
  }
  return {a, b};
}

MetricComparison CompareOne(const std::pair<RunValues, RunValues>& runs) {
  return CompareRuns({"ndcg@10"}, runs.first, runs.second, kSeed).front();
}

TEST(CompareRuns, NamesTheBetterRunAndItsInterval) {
  const MetricComparison found = CompareOne(Runs(300, 0.05, 0.1));
  EXPECT_LT(found.p_holm, 0.001);
  EXPECT_GT(found.difference.interval.low, 0);
  EXPECT_NEAR(found.difference.mean, found.b.mean - found.a.mean, 1e-12);
  EXPECT_THAT(found.verdict, AllOf(StartsWith("B is better by 0.0"), HasSubstr("95% interval 0.0"), HasSubstr("p < 0.0001")));
}

TEST(CompareRuns, SaysTheSameOfSwappedRuns) {
  const auto [a, b] = Runs(300, 0.05, 0.1);
  const MetricComparison one = CompareRuns({"ndcg@10"}, a, b, kSeed).front(), other = CompareRuns({"ndcg@10"}, b, a, kSeed).front();
  EXPECT_NEAR(one.difference.mean, -other.difference.mean, 1e-12);
  EXPECT_EQ(one.test.p, other.test.p);
  EXPECT_EQ(one.wins.wins, other.wins.losses);
  EXPECT_THAT(other.verdict, StartsWith("A is better by 0.0"));
}

TEST(CompareRuns, SaysWhatTheQueriesWouldShowWhereNoDifferenceIsShown) {
  const MetricComparison found = CompareOne(Runs(300, 0.0, 0.1));
  EXPECT_GT(found.p_holm, 0.05);
  // A difference of 2.81 standard errors is found with power 0.8 at level 0.05.
  EXPECT_NEAR(found.detectable, 2.81 * 0.1 / std::sqrt(300.0), 0.1 * found.detectable);
  EXPECT_THAT(found.verdict, AllOf(StartsWith("no difference shown (p = 0."), HasSubstr("): 300 queries would show one of 0.01"),
                                   HasSubstr(" with 80% power")));
}

TEST(CompareRuns, OfEqualRunsSaysSo) {
  const auto [a, b] = Runs(50, 0, 0);
  const MetricComparison found = CompareRuns({"mrr"}, a, a, kSeed).front();
  EXPECT_EQ(found.verdict, "both runs have the same value for all of 50 queries");
  EXPECT_EQ(found.test.p, 1);
  EXPECT_EQ(found.difference.interval.low, 0);
  EXPECT_EQ(found.queries_needed, std::nullopt);
}

TEST(CompareRuns, CorrectsForTheNumberOfMetrics) {
  const auto [a, b] = Runs(300, 0.02, 0.1);
  const RunValues three_a = {a[0], a[0], a[0]}, three_b = {b[0], a[0], a[0]};
  const auto found = CompareRuns({"ndcg@10", "mrr", "map"}, three_a, three_b, kSeed);
  EXPECT_NEAR(found[0].p_holm, 3 * found[0].test.p, 1e-12);
  EXPECT_THAT(found[0].verdict, EndsWith("after Holm's correction for 3 metrics"));
  EXPECT_GT(found[0].detectable, CompareOne({a, b}).detectable);
}

TEST(CompareWithFirst, CorrectsForAllMetricsOfAllRunsAndNamesThemByLetter) {
  const auto [a, b] = Runs(300, 0.05, 0.1);
  const RunValues first = {a[0], a[0]}, better = {b[0], a[0]};
  const auto found = CompareWithFirst({"ndcg@10", "mrr"}, {first, first, better}, kSeed);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0][0].verdict, "A and B have the same value for all of 300 queries");
  EXPECT_THAT(found[1][0].verdict, AllOf(StartsWith("C is better than A by 0.0"),
                                         EndsWith("after Holm's correction for 4 comparisons")));
  EXPECT_NEAR(found[1][0].p_holm, 4 * found[1][0].test.p, 1e-12);
  EXPECT_EQ(found[1][0].difference.interval.low, CompareRuns({"ndcg@10"}, a, b, kSeed)[0].difference.interval.low)
      << "intervals do not depend on other comparisons";
  const auto worse = CompareWithFirst({"ndcg@10"}, {b, a, b}, kSeed);
  EXPECT_THAT(worse[0][0].verdict, StartsWith("A is better than B by 0.0"));
  const auto alike = Runs(300, 0.0, 0.1);
  EXPECT_THAT(CompareWithFirst({"mrr"}, {alike.first, alike.first, alike.second}, kSeed)[1][0].verdict,
              StartsWith("no difference between A and C shown (p = 0."));
}

// Compares two equally good runs in three metrics: at most 5% of the comparisons may call one run better in any metric.
TEST(CompareRuns, CallsEqualRunsDifferentInAtMost5PercentOfComparisons) {
  constexpr int kComparisons = 300, kQueries = 60;
  CounterRandom random(kSeed);
  int wrong = 0;
  for (int i = 0; i < kComparisons; ++i) {
    RunValues a(3), b(3);
    for (int q = 0; q < kQueries; ++q) {
      for (int m = 0; m < 3; ++m) {
        a[m].push_back(m == 0 || random.Uniform() < 0.3 ? DrawNdcg(random) : a[0].back());
        b[m].push_back(m == 0 || random.Uniform() < 0.3 ? DrawNdcg(random) : b[0].back());
      }
    }
    bool any = false;
    for (const MetricComparison& found : CompareRuns({"x", "y", "z"}, a, b, static_cast<uint64_t>(i))) any |= found.p_holm <= 0.05;
    wrong += any;
  }
  std::cout << "seed " << kSeed << ": " << wrong << " of " << kComparisons << "\n";
  EXPECT_LE(wrong, 0.05 * kComparisons + 2.33 * std::sqrt(0.05 * 0.95 * kComparisons)) << "5%, and the binomial's tolerance";
}

TEST(MeansOf, AreAFunctionOfValuesAndSeed) {
  const RunValues a = Runs(100, 0, 0.1).first;
  EXPECT_EQ(MeansOf(a, 1)[0].interval.low, MeansOf(a, 1)[0].interval.low);
  EXPECT_NE(MeansOf(a, 1)[0].interval.low, MeansOf(a, 2)[0].interval.low);
}

TEST(CsvCell, QuotesWhatNeedsIt) {
  EXPECT_EQ(CsvCell("q1"), "q1");
  EXPECT_EQ(CsvCell("a,\"b\""), "\"a,\"\"b\"\"\"");
  EXPECT_EQ(ExactNumber(0.1), "0.1");
}

}  // namespace
}  // namespace muster
