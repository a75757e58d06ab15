#include "worker/rank/link/epoch_ledger.h"

#include <algorithm>

namespace muster {

std::optional<muster::internal::v1::EpochClosed> ApplyToLedger(const muster::internal::v1::StepShare& share,
                                                               const QuerySum& applied, const Stage& stage,
                                                               SampleLedger& ledger) {
  const uint64_t steps = std::max<uint64_t>(1, stage.steps_per_epoch);
  const uint64_t epoch = stage.epochs_before + share.epoch();  // of the job
  ledger.Apply(epoch, (share.step() - stage.begin) % steps == 0, applied);
  if (!share.epoch_end() || share.epoch_queries() == 0 || !ledger.whole) return std::nullopt;
  const LedgerVerdict verdict = JudgeEpoch(ledger.applied, {share.epoch_queries(), share.epoch_query_sum()});
  muster::internal::v1::EpochClosed closed;
  closed.set_epoch(epoch);
  closed.set_committed(verdict.committed);
  closed.set_duplicated(verdict.duplicated);
  closed.set_missing(verdict.missing);
  return closed;
}

}  // namespace muster
