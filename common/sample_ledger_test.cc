#include "common/sample_ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace muster {
namespace {

QuerySum SumOf(const std::vector<uint64_t>& digests) {
  QuerySum sum;
  for (const uint64_t digest : digests) sum.Add(digest);
  return sum;
}

TEST(SampleLedger, AnEpochInAnyOrderAndAnyCutIsComplete) {
  std::mt19937_64 random(17);
  std::vector<uint64_t> digests(1000);
  for (uint64_t& digest : digests) digest = random();
  const QuerySum expected = SumOf(digests);
  std::shuffle(digests.begin(), digests.end(), random);
  QuerySum applied;
  for (size_t i = 0; i < digests.size(); i += 7) {
    applied.Add(SumOf({digests.begin() + i, digests.begin() + std::min(digests.size(), i + 7)}));
  }
  EXPECT_EQ(JudgeEpoch(applied, expected), (LedgerVerdict{1000, 0, 0}));
}

TEST(SampleLedger, EveryTamperedEpochIsFound) {
  // Small digests, which a careless sum could not distinguish.
  const std::vector<uint64_t> digests = {1, 2, 3, 4, 5, 6, 7, 8};
  const QuerySum expected = SumOf(digests);
  EXPECT_EQ(JudgeEpoch(SumOf({1, 2, 3, 4, 5, 6, 7}), expected), (LedgerVerdict{7, 0, 1})) << "one is missing";
  EXPECT_EQ(JudgeEpoch(SumOf({1, 2, 3, 4, 5, 6, 7, 8, 8}), expected), (LedgerVerdict{8, 1, 0})) << "one came twice";
  EXPECT_EQ(JudgeEpoch(SumOf({1, 2, 3, 4, 5, 6, 7, 7}), expected), (LedgerVerdict{7, 1, 1})) << "8 became 7";
  EXPECT_EQ(JudgeEpoch(SumOf({1, 2, 3, 4, 5, 6, 6, 9}), expected), (LedgerVerdict{7, 1, 1})) << "of equal plain sums";
  EXPECT_EQ(JudgeEpoch(SumOf({}), expected), (LedgerVerdict{0, 0, 8})) << "nothing was applied";
}

TEST(SampleLedger, ContinuesFromACheckpointAndStartsOverWithAnEpoch) {
  SampleLedger ledger;
  ledger.Apply(0, true, SumOf({1, 2}));
  const SampleLedger saved = ledger;
  ledger.Apply(0, false, SumOf({3}));
  ledger = saved;  // an attempt that died: weights and ledger come from the checkpoint
  ledger.Apply(0, false, SumOf({3}));
  EXPECT_EQ(ledger.applied, SumOf({1, 2, 3}));
  ledger.Apply(1, true, SumOf({2}));
  EXPECT_EQ(ledger.applied, SumOf({2}));
  EXPECT_TRUE(ledger.whole);
}

TEST(SampleLedger, OneThatDidNotSeeTheBeginningSaysSo) {
  SampleLedger ledger{.epoch = 3, .applied = {}, .whole = false};
  ledger.Apply(3, false, SumOf({1}));
  EXPECT_FALSE(ledger.whole);
  ledger.Apply(4, false, SumOf({1}));
  EXPECT_FALSE(ledger.whole) << "the first step of the epoch was skipped";
  ledger.Apply(5, true, SumOf({1}));
  EXPECT_TRUE(ledger.whole);
}

}  // namespace
}  // namespace muster
