#include "common/sample_ledger.h"

#include <algorithm>

namespace muster {

uint64_t MixedDigest(uint64_t query_digest) {
  // The finalizer of splitmix64: a bijection.
  uint64_t mixed = query_digest + 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

void QuerySum::Add(uint64_t query_digest) {
  ++queries;
  sum += MixedDigest(query_digest);
}

void QuerySum::Add(const QuerySum& other) {
  queries += other.queries;
  sum += other.sum;
}

LedgerVerdict JudgeEpoch(const QuerySum& applied, const QuerySum& expected) {
  LedgerVerdict verdict;
  verdict.duplicated = applied.queries - std::min(applied.queries, expected.queries);
  verdict.missing = expected.queries - std::min(applied.queries, expected.queries);
  if (applied.queries == expected.queries && applied.sum != expected.sum) verdict.duplicated = verdict.missing = 1;
  verdict.committed = expected.queries - verdict.missing;
  return verdict;
}

void SampleLedger::Apply(uint64_t of_epoch, bool first, const QuerySum& step) {
  if (first || of_epoch != epoch) {
    applied = QuerySum();
    whole = first;
    epoch = of_epoch;
  }
  applied.Add(step);
}

}  // namespace muster
