#include "coordinator/data/plan/epoch_order.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace muster {
namespace {

// How often an epoch draws each query.
std::vector<int> CountsOf(const SetDraws& draws, uint64_t queries, uint64_t epoch) {
  std::vector<int> counts(queries);
  for (uint64_t place = 0; place < draws.per_epoch(); ++place) ++counts[draws.At(epoch, place).query];
  return counts;
}

TEST(SetDraws, AWeightOfOneDrawsEachQueryOnceInItsPlace) {
  const SetDraws draws(5, 1, 17);
  ASSERT_EQ(draws.per_epoch(), 5u);
  for (uint64_t place = 0; place < 5; ++place) {
    EXPECT_EQ(draws.At(3, place).query, place);
    EXPECT_EQ(draws.At(3, place).turn, 3u) << "the epoch";
  }
}

TEST(SetDraws, HalfOfTheQueriesTakeTurns) {
  const SetDraws draws(4, 0.5, 17);
  ASSERT_EQ(draws.per_epoch(), 2u);
  const std::vector<int> first = CountsOf(draws, 4, 0), second = CountsOf(draws, 4, 1);
  for (size_t query = 0; query < 4; ++query) EXPECT_EQ(first[query] + second[query], 1) << query;
  EXPECT_EQ(CountsOf(draws, 4, 2), first);
  EXPECT_NE(CountsOf(SetDraws(64, 0.5, 17), 64, 0), CountsOf(SetDraws(64, 0.5, 18), 64, 0)) << "the seed decides which half";
}

TEST(SetDraws, TheFractionIsRoundedToWholeQueries) {
  EXPECT_EQ(SetDraws(10, 2.5, 1).per_epoch(), 25u);
  EXPECT_EQ(SetDraws(10, 0.26, 1).per_epoch(), 3u);
  EXPECT_EQ(SetDraws(10, 0.04, 1).per_epoch(), 0u);
  EXPECT_EQ(SetDraws(3, 1000, 1).per_epoch(), 3000u);
  EXPECT_EQ(SetDraws(10, 0.999, 1).per_epoch(), 10u);
  EXPECT_EQ(SetDraws(0, 2.5, 1).per_epoch(), 0u);
}

// Over any number of epochs, every query has been drawn equally often, except for a difference of one, and the turns of each
// query count from 0 without a gap.
RC_GTEST_PROP(SetDraws, DrawEveryQueryEquallyOften, ()) {
  const auto queries = *rc::gen::inRange<uint64_t>(1, 30);
  const double weight = *rc::gen::inRange(1, 400) / 100.0;
  const SetDraws draws(queries, weight, *rc::gen::arbitrary<uint64_t>());
  std::vector<std::set<uint64_t>> turns(queries);
  for (uint64_t epoch = 0; epoch < 12; ++epoch) {
    for (const int count : CountsOf(draws, queries, epoch)) {
      RC_ASSERT(count >= static_cast<int>(std::floor(weight)));
      RC_ASSERT(count <= static_cast<int>(std::floor(weight)) + 1);
    }
    size_t fewest = SIZE_MAX, most = 0;
    for (uint64_t place = 0; place < draws.per_epoch(); ++place) {
      const SetDraws::Draw draw = draws.At(epoch, place);
      RC_ASSERT(draw.query < queries);
      RC_ASSERT(turns[draw.query].insert(draw.turn).second);
    }
    for (const auto& of_query : turns) {
      if (!of_query.empty()) RC_ASSERT(*of_query.rbegin() + 1 == of_query.size());
      fewest = std::min(fewest, of_query.size());
      most = std::max(most, of_query.size());
    }
    RC_ASSERT(most - fewest <= 1u);
  }
}

// An epoch has every draw of every set once, and its end is its last step.
RC_GTEST_PROP(EpochOrder, HasEveryDrawOncePerEpoch, ()) {
  const auto sets = *rc::gen::inRange<size_t>(1, 5);
  auto draws = *rc::gen::container<std::vector<uint64_t>>(sets, rc::gen::inRange<uint64_t>(0, 40));
  draws[*rc::gen::inRange<size_t>(0, sets)] += 1;
  const auto batch = *rc::gen::inRange<uint64_t>(1, 12);
  const bool homogeneous = *rc::gen::arbitrary<bool>();
  const EpochOrder order(draws, batch, homogeneous, *rc::gen::arbitrary<uint64_t>());
  uint64_t total = 0, steps_of_sets = 0;
  for (const uint64_t of_set : draws) {
    total += of_set;
    steps_of_sets += StepsPerEpoch(of_set, batch);
  }
  RC_ASSERT(order.steps() == (homogeneous ? steps_of_sets : StepsPerEpoch(total, batch)));
  const auto epoch = *rc::gen::inRange<uint64_t>(0, 4);
  std::set<std::pair<size_t, uint64_t>> seen;
  std::map<size_t, uint64_t> short_steps;
  for (uint64_t step = epoch * order.steps(); step < (epoch + 1) * order.steps(); ++step) {
    const EpochOrder::Step drawn = order.At(step);
    RC_ASSERT(drawn.epoch == epoch);
    RC_ASSERT(drawn.epoch_end == (step + 1 == (epoch + 1) * order.steps()));
    RC_ASSERT(!drawn.rows.empty());
    RC_ASSERT(drawn.rows.size() <= batch);
    for (const auto& [set, draw] : drawn.rows) {
      RC_ASSERT(draw < draws[set]);
      RC_ASSERT(seen.emplace(set, draw).second);
      RC_ASSERT(!homogeneous || set == drawn.rows[0].set);
    }
    if (drawn.rows.size() < batch) ++short_steps[homogeneous ? drawn.rows[0].set : 0];
  }
  RC_ASSERT(seen.size() == total);
  for (const auto& [set, steps] : short_steps) RC_ASSERT(steps == 1u);
}

TEST(EpochOrder, HomogeneousStepsOfTheSetsAreShuffledTogetherInAnotherOrderPerEpoch) {
  const EpochOrder order({320, 160}, 4, true, 17);
  ASSERT_EQ(order.steps(), 120u);
  const auto sets_of = [&](uint64_t epoch) {
    std::vector<size_t> sets;
    for (uint64_t step = 0; step < 120; ++step) sets.push_back(order.At(epoch * 120 + step).rows[0].set);
    return sets;
  };
  const std::vector<size_t> first = sets_of(0);
  EXPECT_EQ(std::ranges::count(first, 1u), 40);
  const auto early = std::count(first.begin(), first.begin() + 60, 1u);
  EXPECT_GT(early, 10);
  EXPECT_LT(early, 30);
  EXPECT_NE(first, sets_of(1));
}

TEST(EpochOrder, OneSetHasTheSameStepsWhetherTheyAreHomogeneousOrNot) {
  const EpochOrder mixed({10}, 4, false, 17), homogeneous({10}, 4, true, 17);
  for (uint64_t step = 0; step < 9; ++step) {
    const auto a = mixed.At(step), b = homogeneous.At(step);
    ASSERT_EQ(a.rows.size(), b.rows.size());
    for (size_t row = 0; row < a.rows.size(); ++row) EXPECT_EQ(a.rows[row].draw, b.rows[row].draw);
  }
}

}  // namespace
}  // namespace muster
