#include "coordinator/data/plan/assign_sequences.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/random.h"

namespace muster {
namespace {

std::vector<Sequence> Lengths(const std::vector<uint32_t>& lengths) {
  std::vector<Sequence> sequences;
  for (const uint32_t length : lengths) sequences.push_back({static_cast<uint32_t>(sequences.size()), length});
  return sequences;
}

RC_GTEST_PROP(AssignSequences, GivesEverySequenceToOneRankInMicroBatchesUnderTheBudget, ()) {
  const auto lengths = *rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(2, 300));
  const auto world_size = *rc::gen::inRange<uint32_t>(1, 10);
  const auto budget = *rc::gen::inRange<uint32_t>(1, 2000);
  const auto ranks = AssignSequences(Lengths(lengths), world_size, budget);
  RC_ASSERT(ranks.size() == world_size);
  std::vector<int> seen(lengths.size(), 0);
  for (const RankLoad& rank : ranks) {
    uint32_t before = 0, end = 0;
    for (size_t i = 0; i < rank.micro_batch_ends.size(); ++i) {
      uint64_t tokens = 0;
      RC_ASSERT(!rank.MicroBatch(i).empty());
      for (const uint32_t slot : rank.MicroBatch(i)) {
        ++seen[slot];
        RC_ASSERT(lengths[slot] >= before);
        before = lengths[slot];
        tokens += lengths[slot];
      }
      RC_ASSERT(tokens <= budget || rank.MicroBatch(i).size() == 1);
      end = rank.micro_batch_ends[i];
    }
    RC_ASSERT(end == rank.slots.size());
    RC_ASSERT(!rank.slots.empty() || lengths.size() < world_size);
  }
  RC_ASSERT(std::ranges::count(seen, 1) == static_cast<std::ptrdiff_t>(seen.size()));
}

TEST(AssignSequences, BalancesSkewedLengths) {
  for (const uint32_t world_size : {2u, 3u, 8u, 64u}) {
    CounterRandom random(17);
    std::vector<uint32_t> lengths;
    for (uint32_t i = 0; i < 40 * world_size; ++i) {  // log-uniform in 3..512
      lengths.push_back(static_cast<uint32_t>(3 * std::pow(512.0 / 3, random.Uniform())));
    }
    const auto ranks = AssignSequences(Lengths(lengths), world_size, 16384);
    double most = 0, total = 0;
    for (const RankLoad& rank : ranks) {
      most = std::max(most, rank.cost);
      total += rank.cost;
    }
    const double excess = most / (total / world_size) - 1;
    std::printf("seed 17, %u ranks, 40 sequences each: the fullest has %.3f%% over the mean\n", world_size,
                100 * excess);
    EXPECT_LT(excess, 0.02);
  }
}

TEST(EqualRange, CoversAllInOrder) {
  for (uint32_t total : {0u, 1u, 7u, 64u, 1000u}) {
    for (uint32_t world_size : {1u, 2u, 3u, 8u, 13u}) {
      uint32_t expected = 0;
      for (uint32_t rank = 0; rank < world_size; ++rank) {
        const auto [begin, end] = EqualRange(total, rank, world_size);
        EXPECT_EQ(begin, expected);
        EXPECT_LE(end - begin, total / world_size + 1);
        EXPECT_GE(end - begin, total / world_size);
        expected = end;
      }
      EXPECT_EQ(expected, total);
    }
  }
}

}  // namespace
}  // namespace muster
