// The sample ledger: which queries of an epoch were applied to the weights. It keeps their count and a sum of their
// digests that does not depend on the order, and compares both with what the epoch must contain. Cheap enough for every
// step, and part of a checkpoint, so that it rolls back with the weights.
//
// Example. An epoch must contain the queries {a, b, c}. Applied a, b, b: the counts are equal, the sums are not:
// {committed 2, duplicated 1, missing 1}. Applied a, b: {committed 2, duplicated 0, missing 1}.
#pragma once

#include <cstdint>

namespace muster {

struct QuerySum {
  uint64_t queries = 0;
  uint64_t sum = 0;  // of MixedDigest values, modulo 2^64
  void Add(uint64_t query_digest);
  void Add(const QuerySum& other);
  bool operator==(const QuerySum&) const = default;
};

// Digests are mixed before they are added, so that wrong ones are very unlikely to give the right sum.
uint64_t MixedDigest(uint64_t query_digest);

struct LedgerVerdict {
  uint64_t committed = 0;
  uint64_t duplicated = 0, missing = 0;  // lower bounds; both 0 if and only if applied == expected
  bool operator==(const LedgerVerdict&) const = default;
};
LedgerVerdict JudgeEpoch(const QuerySum& applied, const QuerySum& expected);

// The ledger of a run. If it did not see the beginning of its epoch (a checkpoint without a ledger), it checks epochs from the
// next one on.
struct SampleLedger {
  uint64_t epoch = 0;
  QuerySum applied;
  bool whole = true;  // it has seen `epoch` from its first step on

  // Call it after a step of `epoch` was applied. `first`: it is the epoch's first step.
  void Apply(uint64_t of_epoch, bool first, const QuerySum& step);
  bool operator==(const SampleLedger&) const = default;
};

}  // namespace muster
