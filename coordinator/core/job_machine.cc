#include "coordinator/core/job_machine.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "coordinator/core/job_machine_internal.h"

namespace muster {
namespace {

using journal::v1::StoredAttempt;
using muster::internal::v1::RankExited;
using muster::v1::JobPhase;

}  // namespace

journal::v1::StoredAttempt* InfoOf(JobRecord& record, uint32_t number) {
  for (journal::v1::StoredAttempt& info : *record.mutable_job()->mutable_attempts()) {
    if (info.number() == number) return &info;
  }
  return nullptr;
}

bool EvaluatesAlone(const JobRecord& record) {
  const muster::v1::DurationSpec& duration = record.job().spec().duration();
  return duration.length_case() == muster::v1::DurationSpec::kSteps && duration.steps() == 0;
}

void Machine::EndAttempt(const Reason& reason, AttemptEnd end) {
  if (!record().has_running()) return;
  const uint32_t number = record().running().number();
  for (const journal::v1::Grant& grant : record().running().grants()) {
    result_.effects.push_back(PushDesired{grant.worker()});
  }
  if (record().running().has_started()) result_.effects.push_back(CloseRendezvous{job().id(), number});
  result_.effects.push_back(CountAttempt{end});
  if (StoredAttempt* info = InfoOf(record(), number); info != nullptr) {
    *info->mutable_ended() = ToProto(now_);
    info->set_end_reason(reason.text);
    info->set_end_code(reason.code);
  }
  record().clear_running();
  result_.changed = true;
}

void Machine::GiveUpOrRecover(const Reason& cause) {
  if (record().causes_size() < kMaxFailures) {
    MoveTo(JobPhase::JOB_PHASE_RECOVERING, cause);
    return;
  }
  std::string causes;
  for (int i = 0; i < record().causes_size(); ++i) absl::StrAppend(&causes, i ? "; " : "", record().causes(i));
  MoveTo(JobPhase::JOB_PHASE_FAILED,
         {muster::v1::REASON_CODE_TOO_MANY_FAILURES,
          absl::StrCat(record().causes_size(), " attempts failed without a new checkpoint between them: ", causes)});
}

void Machine::Fail(const Reason& cause, AttemptEnd end, bool permanent, bool pending) {
  const uint32_t number = record().running().number();
  const bool starting = phase() == JobPhase::JOB_PHASE_STARTING && !job().checkpoints().empty() &&
                        (end == AttemptEnd::kFailed || end == AttemptEnd::kNoProgress);
  EndAttempt(cause, end);
  record().set_cause_pending(pending);
  if (end == AttemptEnd::kStopped || end == AttemptEnd::kServerLost) {
    MoveTo(JobPhase::JOB_PHASE_RECOVERING, cause);
    return;
  }
  if (starting && !permanent) {
    RetryStart(number, cause);
    return;
  }
  record().add_causes(absl::StrCat("attempt ", number, ": ", cause.text));
  if (permanent) {
    MoveTo(JobPhase::JOB_PHASE_FAILED, cause);
  } else {
    GiveUpOrRecover(cause);
  }
}

void Machine::Amend(uint32_t attempt, const Reason& cause, bool permanent) {
  if (StoredAttempt* info = InfoOf(record(), attempt)) {
    info->set_end_reason(cause.text);
    info->set_end_code(cause.code);
  }
  record().set_cause_pending(false);
  const bool starting = record().has_start_failures() && record().start_failures().attempt() == attempt;
  if (record().causes_size() > 0 && !starting) {
    *record().mutable_causes(record().causes_size() - 1) = absl::StrCat("attempt ", attempt, ": ", cause.text);
  }
  result_.changed = true;
  const bool failed = phase() == JobPhase::JOB_PHASE_FAILED;
  if (permanent) {
    if (!failed) EndAttempt({cause.code, "another attempt's failure is permanent"}, AttemptEnd::kCancelled);
    MoveTo(JobPhase::JOB_PHASE_FAILED, cause);
  } else if (starting) {
    if (failed || phase() == JobPhase::JOB_PHASE_RECOVERING) TellStartFailure(cause);
  } else if (failed || phase() == JobPhase::JOB_PHASE_RECOVERING) {
    GiveUpOrRecover(cause);
  }
}

absl::Status Fence(const JobRecord& job, uint32_t attempt) {
  if (job.has_running() && job.running().number() == attempt) return absl::OkStatus();
  if (attempt > job.last_attempt()) {
    return absl::FailedPreconditionError(absl::StrCat("attempt ", attempt, " was never begun"));
  }
  return absl::FailedPreconditionError(absl::StrCat("attempt ", attempt, " ended"));
}

absl::StatusOr<Transition> Advance(const JobRecord& job, const JobEvent& event, absl::Time now) {
  const bool needs_attempt = !std::holds_alternative<Placed>(event) && !std::holds_alternative<UserCommand>(event);
  if (needs_attempt && !job.has_running()) {
    return absl::FailedPreconditionError(absl::StrCat("job ", job.job().id(), " has no attempt"));
  }
  Machine machine(job, now);
  absl::Status status = std::visit([&](const auto& specific) { return machine.On(specific); }, event);
  if (!status.ok()) return status;
  return machine.Finish();
}

absl::StatusOr<Transition> AmendCause(const JobRecord& job, uint32_t attempt, const JobEvent& event, absl::Time now) {
  Machine machine(job, now);
  if (job.cause_pending() && job.job().phase() != JobPhase::JOB_PHASE_CANCELLED) {
    uint32_t ended = 0;  // the last attempt that ended
    for (const StoredAttempt& info : job.job().attempts()) {
      if (info.has_ended()) ended = info.number();
    }
    if (ended == attempt) {
      if (const auto* exit = std::get_if<RankExited>(&event);
          exit != nullptr && exit->cause() != muster::internal::v1::EXIT_CAUSE_SUCCESS &&
          exit->cause() != muster::internal::v1::EXIT_CAUSE_STOPPED &&
          exit->cause() != muster::internal::v1::EXIT_CAUSE_COLLECTIVE) {
        machine.Amend(attempt, ReasonOfExit(job, attempt, *exit),
                      exit->cause() == muster::internal::v1::EXIT_CAUSE_PERMANENT);
        if (exit->cause() == muster::internal::v1::EXIT_CAUSE_DISAGREEMENT) machine.CountDisagreement();
      } else if (const auto* lost = std::get_if<WorkerLost>(&event); lost != nullptr) {
        machine.Amend(attempt, {muster::v1::REASON_CODE_WORKER_LOST, lost->reason}, /*permanent=*/false);
      }
    }
  }
  return machine.Finish();
}

uint64_t CheckpointStep(const JobRecord& job) {
  uint64_t step = 0;
  for (const muster::v1::CheckpointInfo& checkpoint : job.job().checkpoints()) step = std::max(step, checkpoint.step());
  return step;
}

}  // namespace muster
