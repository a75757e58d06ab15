#include "coordinator/core/restore.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace muster {

using muster::v1::JobPhase;

std::vector<Record> AfterRestore(const State& state, uint64_t epoch, const std::string& backup, absl::Time now) {
  std::vector<Record> records;
  if (state.epoch >= epoch) return records;
  Record raised;
  raised.mutable_epoch()->set_epoch(epoch);
  records.push_back(std::move(raised));
  const std::string reason = absl::StrCat("restored from backup ", backup);
  for (const std::string& id : state.active) {
    JobRecord record = state.jobs.at(id);
    journal::v1::StoredJob& job = *record.mutable_job();
    record.set_last_attempt(record.last_attempt() + kAttemptsAfterBackup);
    if (record.has_running()) {
      for (journal::v1::StoredAttempt& info : *job.mutable_attempts()) {
        if (info.number() != record.running().number()) continue;
        *info.mutable_ended() = ToProto(now);
        info.set_end_reason(reason);
        info.set_end_code(muster::v1::REASON_CODE_RESTORED);
      }
      record.clear_running();
      job.set_phase(JobPhase::JOB_PHASE_RECOVERING);
      job.set_reason(reason);
      job.set_reason_code(muster::v1::REASON_CODE_RESTORED);
      *record.mutable_waiting_since() = ToProto(now);
    }
    job.set_revision(job.revision() + 1);
    records.push_back(RecordOf(std::move(record)));
  }
  return records;
}

}  // namespace muster
