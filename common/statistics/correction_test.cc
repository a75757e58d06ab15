#include "common/statistics/correction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>

#include "common/statistics/paired.h"
#include "common/statistics/testing/populations.h"

namespace muster {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(HolmAdjusted, EqualsHandComputedValues) {
  EXPECT_THAT(HolmAdjusted({0.01, 0.04, 0.03, 0.005}), ElementsAre(DoubleEq(0.03), DoubleEq(0.06), DoubleEq(0.06), DoubleEq(0.02)));
  EXPECT_THAT(HolmAdjusted({0.7, 0.6}), ElementsAre(1, 1));
  EXPECT_THAT(HolmAdjusted({0.2}), ElementsAre(0.2));
  EXPECT_THAT(HolmAdjusted({}), IsEmpty());
}

// Families of six comparisons without any difference, which depend on each other as metrics of the same rankings do.
TEST(HolmAdjusted, KeepsTheFamilyWiseError) {
  constexpr uint64_t kSeed = 11;
  constexpr int kFamilies = 1000, kComparisons = 6, kQueries = 40;
  CounterRandom random(kSeed);
  int wrong = 0, uncorrected = 0;
  for (int family = 0; family < kFamilies; ++family) {
    std::vector<std::vector<double>> differences(kComparisons);
    for (int q = 0; q < kQueries; ++q) {
      const double shared = DrawNormal(random);
      for (auto& column : differences) column.push_back(0.5 * shared + DrawNormal(random));
    }
    std::vector<double> p;
    for (const auto& column : differences) p.push_back(TestByT(column).p);
    const std::vector<double> adjusted = HolmAdjusted(p);
    wrong += *std::min_element(adjusted.begin(), adjusted.end()) <= 0.05;
    uncorrected += *std::min_element(p.begin(), p.end()) <= 0.05;
  }
  std::cout << "seed " << kSeed << ": " << wrong << " of " << kFamilies << " families with a wrong call, " << uncorrected
            << " without the correction\n";
  EXPECT_LE(wrong, 50 + 2.33 * 6.89) << "5%, and 2.33 standard deviations of the binomial count";
  EXPECT_GT(uncorrected, 150) << "the families are large enough to matter";
}

}  // namespace
}  // namespace muster
