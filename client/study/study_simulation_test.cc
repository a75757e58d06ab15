// Simulated studies with a known answer.
#include <gtest/gtest.h>

#include <iostream>

#include "client/study/study_figures.h"
#include "client/study/testing/study_results.h"

namespace muster {
namespace {

constexpr int kStudies = 200, kQueries = 100;
const StudyOptions kFast = {.power = 0, .flips = 200};  // no verdict depends on either

StudyFile StudyOf(int arms, int64_t seeds) {
  std::string levels;
  for (int a = 0; a < arms; ++a) levels += (a > 0 ? ", " : "") + std::to_string(a + 1);
  auto study = ParseStudyFile(
      "pilot.yaml", StudyText("grid: {data.positives.per_query: [" + levels + "]}\nseeds: " + std::to_string(seeds) + "\n"));
  EXPECT_TRUE(study.ok()) << study.status();
  return *std::move(study);
}

TEST(StudySimulation, EqualArmsAreCalledDifferentInAtMostFivePercentOfStudies) {
  const std::vector<Spread> spreads = {{.seed = 0.005, .arm_query = 0.1, .residual = 0.15},
                                       {.seed = 0.02, .arm_query = 0.02, .residual = 0.1},
                                       {.seed = 0, .arm_query = 0, .residual = 0.2}};
  for (size_t i = 0; i < spreads.size(); ++i) {
    for (const bool queries_are_known : {true, false}) {
      const uint64_t seed = 31 + i;
      CounterRandom random(seed);
      const StudyFile study = StudyOf(4, 4);
      const int studies = queries_are_known ? kStudies : 5 * kStudies;
      int wrong = 0;
      for (int s = 0; s < studies; ++s) {
        // Without values by query, the claim is only about these queries, so equal arms must be equal on these queries.
        Spread spread = spreads[i];
        if (!queries_are_known) spread.arm_query = 0;
        std::vector<CellResult> results = DrawResults(study, {0.5, 0.5, 0.5, 0.5}, kQueries, spread, random);
        for (CellResult& result : results) {
          if (!queries_are_known) result.by_query.clear();
        }
        bool any = false;
        for (const PairFigure& pair : FiguresOf(study, results, kFast).pairs) any = any || pair.is_difference;
        wrong += any;
      }
      std::cout << "seed " << seed << ": " << wrong << " of " << studies << " studies of equal arms have a difference\n";
      // The t test over seeds has exactly its level, so a count may be two standard deviations above it.
      EXPECT_LE(wrong, studies / 20 + (queries_are_known ? 0 : 14));
    }
  }
}

TEST(StudySimulation, PlantedDifferencesAreFoundAtTheStatedPower) {
  const Spread spread = {.seed = 0.01, .arm_query = 0.03, .residual = 0.1};
  // The components of a difference between two arms.
  const CrossedComponents components = {.seeds = 2 * spread.seed * spread.seed,
                                        .queries = 2 * spread.arm_query * spread.arm_query,
                                        .residual = 2 * spread.residual * spread.residual};
  constexpr double kDifference = 0.04;
  constexpr int kPairs = 3;  // of three arms
  const auto seeds = SeedsNeeded(components, kQueries, kDifference, {.alpha = 0.05 / kPairs, .power = 0.8});
  ASSERT_TRUE(seeds.has_value());
  const StudyFile study = StudyOf(3, *seeds);
  constexpr uint64_t kSeed = 41;
  CounterRandom random(kSeed);
  int found = 0, wrong = 0;
  for (int s = 0; s < kStudies; ++s) {
    const StudyFigures figures =
        FiguresOf(study, DrawResults(study, {0.5, 0.5 + kDifference, 0.5}, kQueries, spread, random), kFast);
    found += figures.pairs[0].is_difference && figures.pairs[0].mean > 0;
    wrong += figures.pairs[1].is_difference;
  }
  std::cout << "seed " << kSeed << ": " << *seeds << " seeds find it in " << found << " of " << kStudies
            << " studies; the equal arms differ in " << wrong << "\n";
  EXPECT_GE(found, kStudies * 8 / 10 - 3 * 6) << "three standard deviations of a count below 80%";
  EXPECT_LE(wrong, kStudies / 20 + 3 * 3);
}

// The report's own estimate of how many seeds show a difference, from a small study.
TEST(StudySimulation, SeedsNeededAreEstimatedFromTheStudyItself) {
  const Spread spread = {.seed = 0.01, .arm_query = 0.03, .residual = 0.1};
  const StudyFile study = StudyOf(2, 10);
  constexpr uint64_t kSeed = 42;
  CounterRandom random(kSeed);
  const CrossedComponents components = {.seeds = 2e-4, .queries = 18e-4, .residual = 2e-2};
  const auto expected = SeedsNeeded(components, kQueries, study.difference, {.alpha = 0.05, .power = 0.8});
  double sum = 0;
  int never = 0;
  for (int s = 0; s < 50; ++s) {
    const StudyFigures figures = FiguresOf(study, DrawResults(study, {0.5, 0.5}, kQueries, spread, random), {.flips = 200});
    if (!figures.pairs[0].seeds_needed.has_value()) ++never;
    sum += figures.pairs[0].detectable;
  }
  const double detectable = DetectableCrossed(components, 10, kQueries, {.alpha = 0.05, .power = 0.8});
  std::cout << "seed " << kSeed << ": shows " << sum / 50 << " on average, expected " << detectable << "; never in " << never
            << " of 50\n";
  EXPECT_NEAR(sum / 50, detectable, 0.2 * detectable);
  EXPECT_EQ(expected.has_value(), never < 25);
}

}  // namespace
}  // namespace muster
