#include "coordinator/core/check_state.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::JobPhase;
using muster::v1::RankPlacement;
using Slot = std::pair<std::string, uint32_t>;  // worker, slot

absl::Status Broken(const std::string& job, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the coordinator's state is not complete: job \"", job, "\" ", what,
                                          ". Restore the folder's backup."));
}

bool NeedsAttempt(JobPhase phase) {
  return phase == JobPhase::JOB_PHASE_RESERVING || phase == JobPhase::JOB_PHASE_STARTING ||
         phase == JobPhase::JOB_PHASE_TRAINING;
}

absl::Status CheckRunning(const std::string& id, const JobRecord& record, std::set<Slot>& used) {
  const journal::v1::RunningAttempt& running = record.running();
  if (record.job().attempts().empty() || record.job().attempts().rbegin()->number() != running.number() ||
      running.number() != record.last_attempt()) {
    return Broken(id, "runs an attempt that is not its newest");
  }
  if (running.has_started() == (record.job().phase() == JobPhase::JOB_PHASE_RESERVING)) {
    return Broken(id, "has an attempt of another phase");
  }
  const auto& ranks = record.job().attempts().rbegin()->ranks();
  if (ranks.empty() || ranks.size() != running.ranks_size()) return Broken(id, "has ranks without a state");
  for (int i = 0; i < ranks.size(); ++i) {
    const RankPlacement& rank = ranks[i];
    const bool granted = std::any_of(running.grants().begin(), running.grants().end(),
                                     [&](const journal::v1::Grant& grant) { return grant.worker() == rank.worker(); });
    if (rank.rank() != static_cast<uint32_t>(i) || !granted) return Broken(id, "has a rank that nobody granted");
    if (!used.insert({rank.worker(), rank.slot()}).second) return Broken(id, "has a slot that another rank has, too");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckState(const State& state) {
  std::set<Slot> used;
  for (const auto& [id, record] : state.jobs) {
    const JobPhase phase = record.job().phase();
    if (id.empty() || phase == JobPhase::JOB_PHASE_UNSPECIFIED || !muster::v1::JobPhase_IsValid(phase)) {
      return Broken(id, "has no id or no phase");
    }
    if (record.last_attempt() > std::numeric_limits<int32_t>::max()) return Broken(id, "has no number for another attempt");
    if (NeedsAttempt(phase) != record.has_running()) return Broken(id, absl::StrCat("is ", PhaseName(phase), ", which does not fit its attempt"));
    if (record.has_running()) RETURN_IF_ERROR(CheckRunning(id, record, used));
  }
  return absl::OkStatus();
}

absl::Status CheckDerived(const State& state) {
  State derived;
  for (const auto& [id, record] : state.jobs) RETURN_IF_ERROR(Apply(RecordOf(record), derived));
  for (const auto& [name, record] : state.workers) RETURN_IF_ERROR(Apply(RecordOf(record), derived));
  if (derived.active != state.active) return absl::InternalError("the set of active jobs differs from the jobs");
  if (derived.submissions != state.submissions) return absl::InternalError("the submissions differ from the jobs");
  if (derived.phases != state.phases) return absl::InternalError("the counts of jobs by phase differ from the jobs");
  if (derived.index != state.index) return absl::InternalError("the index differs from the jobs");
  // The last one may have belonged to a job that was removed.
  if (derived.last_sequence > state.last_sequence) return absl::InternalError("a job's sequence is above the last one");
  return absl::OkStatus();
}

}  // namespace muster
