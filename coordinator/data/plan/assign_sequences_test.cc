#include "coordinator/data/plan/assign_sequences.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

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

// Each sequence, from the longest down, to the rank with the least work so far, in the simplest implementation.
std::vector<std::vector<uint32_t>> PlainlyAssigned(std::vector<Sequence> sequences, uint32_t world_size) {
  std::ranges::sort(sequences, {}, [](const Sequence& s) { return std::pair(s.length, s.slot); });
  std::vector<std::vector<uint32_t>> slots(world_size);
  std::vector<double> costs(world_size, 0);
  for (auto sequence = sequences.rbegin(); sequence != sequences.rend(); ++sequence) {
    const auto least = std::ranges::min_element(costs);
    *least += EncodingCost(sequence->length);
    slots[least - costs.begin()].push_back(sequence->slot);
  }
  for (std::vector<uint32_t>& rank : slots) std::ranges::reverse(rank);
  return slots;
}

// Another assignment would change the bytes of running jobs.
RC_GTEST_PROP(AssignSequences, GivesEachSequenceToTheRankWithTheLeastWork, ()) {
  const auto longest = *rc::gen::element<uint32_t>(3, 20, 300);
  const auto lengths = *rc::gen::scale(10, rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(1, longest)));
  const auto world_size = *rc::gen::inRange<uint32_t>(1, 40);
  const auto expected = PlainlyAssigned(Lengths(lengths), world_size);
  const auto ranks = AssignSequences(Lengths(lengths), world_size, 100);
  for (uint32_t rank = 0; rank < world_size; ++rank) RC_ASSERT(ranks[rank].slots == expected[rank]);
}

TEST(AssignSequences, DoesNotDependOnTheOrderInWhichSequencesAreGiven) {
  std::vector<Sequence> sequences = Lengths({5, 9, 5, 3, 9, 9, 4});
  const auto expected = AssignSequences(sequences, 2, 20);
  std::ranges::reverse(sequences);
  const auto ranks = AssignSequences(sequences, 2, 20);
  for (size_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(ranks[rank].slots, expected[rank].slots);
    EXPECT_EQ(ranks[rank].micro_batch_ends, expected[rank].micro_batch_ends);
  }
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
