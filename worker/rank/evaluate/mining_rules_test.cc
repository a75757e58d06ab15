#include "worker/rank/evaluate/mining_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Documents 0, 1, … with scores 1, 0.9, 0.8, …
std::vector<RankedDocument> Ranking(uint32_t documents) {
  std::vector<RankedDocument> ranking;
  for (uint32_t d = 0; d < documents; ++d) ranking.push_back({d, 1 - 0.1f * static_cast<float>(d)});
  return ranking;
}

std::vector<uint32_t> Chosen(const MiningRules& rules, double lowest_positive, const std::vector<uint32_t>& excluded = {},
                             uint32_t query = 0, uint32_t documents = 10) {
  return ChooseMined(rules, query, lowest_positive, excluded, Ranking(documents));
}

TEST(ChooseMined, TakesTheHighestOfTheRanks) {
  EXPECT_THAT(Chosen({.first_rank = 1, .last_rank = 100, .per_query = 3}, 1), ElementsAre(0, 1, 2));
  EXPECT_THAT(Chosen({.first_rank = 3, .last_rank = 100, .per_query = 3}, 1), ElementsAre(2, 3, 4));
  EXPECT_THAT(Chosen({.first_rank = 3, .last_rank = 4, .per_query = 3}, 1), ElementsAre(2, 3));
  EXPECT_THAT(Chosen({.first_rank = 11, .last_rank = 20, .per_query = 3}, 1), IsEmpty()) << "there are no such ranks";
}

TEST(ChooseMined, ExcludedDocumentsHaveNoRank) {
  EXPECT_THAT(Chosen({.first_rank = 2, .last_rank = 3, .per_query = 3}, 1, {0, 2, 3}), ElementsAre(4, 5));
}

TEST(ChooseMined, MarginsDoNotMoveRanks) {
  // Allows scores up to 0.75, so document 3 and later ones.
  EXPECT_THAT(Chosen({.first_rank = 1, .last_rank = 5, .per_query = 9, .absolute_margin = 0.25}, 1), ElementsAre(3, 4));
  EXPECT_THAT(Chosen({.first_rank = 1, .last_rank = 5, .per_query = 9, .relative_margin = 0.75}, 1), ElementsAre(3, 4));
  EXPECT_THAT(Chosen({.first_rank = 1, .last_rank = 5, .per_query = 9, .absolute_margin = 0.25, .relative_margin = 0.65}, 1),
              ElementsAre(4))
      << "both hold";
  EXPECT_THAT(Chosen({.first_rank = 1, .last_rank = 3, .per_query = 9, .absolute_margin = 0.25}, 1), IsEmpty());
}

TEST(HighestAllowedScore, NeverAllowsMoreThanThePositiveByARelativeMargin) {
  const MiningRules rules{.relative_margin = 0.9};
  EXPECT_DOUBLE_EQ(HighestAllowedScore(rules, 0.5), 0.45);
  EXPECT_DOUBLE_EQ(HighestAllowedScore(rules, -0.5), -0.55);
  EXPECT_EQ(HighestAllowedScore({}, 0.5), std::numeric_limits<double>::infinity());
  EXPECT_DOUBLE_EQ(HighestAllowedScore({.absolute_margin = -0.1}, 0.5), 0.6) << "negatives above the positive are wanted";
}

TEST(ChooseMined, RandomSamplingIsAFunctionOfSeedAndQueryInTheOrderOfRanks) {
  MiningRules rules{.first_rank = 2, .last_rank = 9, .per_query = 3, .random = true, .seed = 5};
  const std::vector<uint32_t> first = Chosen(rules, 1);
  EXPECT_EQ(first.size(), 3u);
  EXPECT_TRUE(std::ranges::is_sorted(first));
  EXPECT_EQ(Chosen(rules, 1), first);
  std::map<uint32_t, int> seen;
  bool differs = false;
  for (uint32_t query = 0; query < 400; ++query) {
    const std::vector<uint32_t> chosen = Chosen(rules, 1, {}, query);
    ASSERT_EQ(chosen.size(), 3u);
    differs |= chosen != first;
    for (const uint32_t document : chosen) ++seen[document];
  }
  EXPECT_TRUE(differs);
  ASSERT_EQ(seen.size(), 8u) << "ranks 2 to 9";
  for (const auto& [document, count] : seen) {
    EXPECT_GE(document, 1u);
    EXPECT_NEAR(count, 150, 50) << document;  // 400 * 3 / 8; the standard deviation is 10
  }
  rules.seed = 6;
  const MiningRules other{.first_rank = 2, .last_rank = 9, .per_query = 3, .random = true, .seed = 5};
  EXPECT_NE(Chosen(rules, 1, {}, 7), Chosen(other, 1, {}, 7));
  rules.per_query = 8;
  EXPECT_EQ(Chosen(rules, 1).size(), 8u);
  rules.per_query = 20;
  EXPECT_EQ(Chosen(rules, 1).size(), 8u) << "fewer than asked for";
}

TEST(ChooseMined, ACandidateMoreOrLessDoesNotMoveTheOthersNumbers) {
  const MiningRules rules{.first_rank = 1, .last_rank = 10, .per_query = 4, .random = true, .seed = 11};
  const std::vector<uint32_t> all = Chosen(rules, 1);
  for (uint32_t gone = 0; gone < 10; ++gone) {
    if (std::ranges::count(all, gone) > 0) continue;
    EXPECT_EQ(Chosen(rules, 1, {gone}), all) << gone;
  }
}

TEST(MiningRules, AreThoseOfTheSpecification) {
  muster::v1::MineSpec mine;
  mine.mutable_ranks()->set_first(10);
  mine.mutable_ranks()->set_last(50);
  mine.set_per_query(7);
  mine.set_relative_margin(0);
  mine.set_absolute_margin(0);
  mine.set_sampling(muster::v1::SAMPLING_RANDOM);
  const MiningRules rules = MiningRules::Of(mine, 3);
  EXPECT_EQ(rules.first_rank, 10);
  EXPECT_EQ(rules.last_rank, 50);
  EXPECT_EQ(rules.per_query, 7);
  EXPECT_FALSE(rules.relative_margin.has_value()) << "0 turns it off";
  EXPECT_EQ(rules.absolute_margin, 0);
  EXPECT_TRUE(rules.random);
  EXPECT_EQ(rules.seed, 3u);
}

}  // namespace
}  // namespace muster
