// A job's checkpoints: stored ones, damaged ones, and attempts that could not continue from one.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/damaged_checkpoints.h"
#include "coordinator/core/job_machine_internal.h"
#include "coordinator/core/retention.h"

namespace muster {
namespace {

using journal::v1::StoredAttempt;
using muster::internal::v1::CheckpointRefused;
using muster::internal::v1::CheckpointSaved;
using muster::v1::CheckpointInfo;
using muster::v1::JobPhase;

constexpr absl::Duration kFirstStartDelay = absl::Seconds(5);

// The first failure may be an accident, so the second attempt starts immediately.
absl::Duration StartDelay(uint32_t failures) {
  if (failures < 2) return absl::ZeroDuration();
  absl::Duration delay = kFirstStartDelay;
  for (uint32_t i = 2; i < failures && delay < kLongestStartDelay; ++i) delay *= 2;
  return std::min(delay, kLongestStartDelay);
}

std::vector<uint64_t> DamagedSteps(const JobRecord& record) {
  std::vector<uint64_t> steps;
  for (const auto& refused : record.refused()) steps.push_back(refused.checkpoint().step());
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace

std::string DamageNote(const JobRecord& record) {
  const std::vector<uint64_t> steps = DamagedSteps(record);
  if (steps.empty()) return "";
  if (steps.size() == 1) return absl::StrCat("; the checkpoint of step ", steps[0], " is damaged");
  return absl::StrCat("; the checkpoints of steps ", absl::StrJoin(steps, ", "), " are damaged");
}

bool WaitsToRetry(const JobRecord& job, absl::Time now) {
  if (!job.start_failures().has_retry()) return false;
  const absl::Duration left = FromProto(job.start_failures().retry()) - now;
  return left > absl::ZeroDuration() && left <= kLongestStartDelay;  // more: the clock was set back
}

absl::Status Machine::On(const CheckpointSaved& event) {
  CheckpointInfo checkpoint = event.checkpoint();
  if (checkpoint.manifest().empty()) return absl::InvalidArgumentError("a checkpoint without a manifest");
  checkpoint.set_attempt(record().running().number());
  // The clock of the rank's host may be ahead, and the checkpoint would seem new for too long.
  if (!checkpoint.has_time() || FromProto(checkpoint.time()) > now_) *checkpoint.mutable_time() = ToProto(now_);
  const bool further = checkpoint.step() > CheckpointStep(record());
  for (const CheckpointInfo& known : job().checkpoints()) {
    if (known.step() == checkpoint.step() && known.manifest() == checkpoint.manifest()) return absl::OkStatus();
  }
  result_.restored.push_back(checkpoint.manifest());
  result_.effects.push_back(Measured{Measure::kCheckpoints, "", 1});
  result_.effects.push_back(Measured{Measure::kCheckpointBytes, "", static_cast<double>(checkpoint.bytes())});
  if (checkpoint.seconds() > 0) {
    result_.effects.push_back(Measured{Measure::kCheckpointSeconds, "", checkpoint.seconds()});
  }
  result_.garbage = AddCheckpoint(std::move(checkpoint), job().spec().checkpoint().keep(), job());
  if (further) {
    record().clear_causes();
    record().set_cause_pending(false);
    for (const auto& refused : record().refused()) {
      const std::string& manifest = refused.checkpoint().manifest();
      if (!HasManifest(job(), manifest)) result_.garbage.push_back(manifest);
    }
    record().clear_refused();
  }
  result_.changed = true;
  return absl::OkStatus();
}

absl::Status Machine::On(const CheckpointRefused& event) {
  const uint32_t number = record().running().number();
  const auto& checkpoints = job().checkpoints();
  const auto found = std::find_if(checkpoints.begin(), checkpoints.end(), [&](const CheckpointInfo& known) {
    return known.step() == event.step() && known.manifest() == event.manifest() && known.attempt() < number;
  });
  if (found == checkpoints.end()) return absl::OkStatus();  // another rank refused it already, or a newer one replaced it
  journal::v1::RefusedCheckpoint& refused = *record().add_refused();
  *refused.mutable_checkpoint() = *found;
  refused.set_reason(event.reason());
  job().mutable_checkpoints()->DeleteSubrange(static_cast<int>(found - checkpoints.begin()), 1);
  result_.effects.push_back(Measured{Measure::kCheckpointsRefused, "", 1});
  result_.changed = true;
  if (StoredAttempt* info = InfoOf(record(), number); info != nullptr) {
    info->set_from_step(CheckpointStep(record()));
    info->set_last_step(info->from_step());
  }
  if (!job().checkpoints().empty()) return absl::OkStatus();
  const auto newest = std::max_element(
      record().refused().begin(), record().refused().end(),
      [](const auto& a, const auto& b) { return a.checkpoint().step() < b.checkpoint().step(); });
  Fail({muster::v1::REASON_CODE_CHECKPOINTS_DAMAGED, AllCheckpointsDamaged(DamagedSteps(record()), newest->reason())},
       AttemptEnd::kFailed, /*permanent=*/true, /*pending=*/false);
  return absl::OkStatus();
}

void Machine::RetryStart(uint32_t number, const Reason& cause) {
  journal::v1::StartFailures& failures = *record().mutable_start_failures();
  failures.set_count(failures.count() + 1);
  failures.set_attempt(number);
  *failures.mutable_retry() = ToProto(now_ + StartDelay(failures.count()));
  TellStartFailure(cause);
}

void Machine::TellStartFailure(const Reason& cause) {
  const uint32_t count = record().start_failures().count();
  if (count >= kMaxStartFailures) {
    MoveTo(JobPhase::JOB_PHASE_FAILED,
           {muster::v1::REASON_CODE_START_FAILED,
            absl::StrCat(count, " attempts in a row failed before they trained, the last: ", cause.text)});
    return;
  }
  const absl::Duration delay = StartDelay(count);
  MoveTo(JobPhase::JOB_PHASE_RECOVERING,
         delay == absl::ZeroDuration()
             ? cause
             : Reason{muster::v1::REASON_CODE_START_FAILED, absl::StrCat(cause.text, "; failed to start ", count,
                                                                         " times, next attempt in ",
                                                                         absl::FormatDuration(delay))});
}

}  // namespace muster
