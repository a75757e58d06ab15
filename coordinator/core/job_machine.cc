#include "coordinator/core/job_machine.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/deterministic_bytes.h"
#include "coordinator/core/retention.h"

namespace muster {
namespace {

using muster::v1::AttemptInfo;
using muster::v1::CheckpointSaved;
using muster::v1::Evaluation;
using muster::v1::Exported;
using muster::v1::JobPhase;
using muster::v1::RankExited;
using muster::v1::RankPlacement;
using muster::v1::RankStarted;

constexpr int kMaxRequests = 32;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

std::string Count(size_t count, absl::string_view noun) { return absl::StrCat(count, " ", noun, count == 1 ? "" : "s"); }

AttemptInfo* InfoOf(JobRecord& record, uint32_t number) {
  for (AttemptInfo& info : *record.mutable_job()->mutable_attempts()) {
    if (info.number() == number) return &info;
  }
  return nullptr;
}

bool EvaluatesAlone(const JobRecord& record) {
  const muster::v1::DurationSpec& duration = record.job().spec().duration();
  return duration.length_case() == muster::v1::DurationSpec::kSteps && duration.steps() == 0;
}

// One event's work on one job.
class Machine {
 public:
  Machine(const JobRecord& job, absl::Time now) : now_(now) { result_.record = job; }

  absl::Status On(const Placed& event);
  absl::Status On(const WorkerPrepared& event);
  absl::Status On(const WorkerRefused& event);
  absl::Status On(const WorkerLost& event);
  absl::Status On(const SaveAndStop& event);
  absl::Status On(const StopOverdue& event);
  absl::Status On(const Stuck& event);
  absl::Status On(const UserCommand& event);
  absl::Status On(const RankStarted& event);
  absl::Status On(const RankExited& event);
  absl::Status On(const CheckpointSaved& event);
  absl::Status On(const Evaluation& event);
  absl::Status On(const Exported& event);

  void Amend(uint32_t attempt, const std::string& cause, bool permanent);
  void CountDisagreement() { result_.effects.push_back(Measured{Measure::kRankDisagreements, "", 1}); }

  Transition Finish() {
    if (result_.changed) record().mutable_job()->set_revision(record().job().revision() + 1);
    return std::move(result_);
  }

 private:
  JobRecord& record() { return result_.record; }
  muster::v1::Job& job() { return *result_.record.mutable_job(); }
  JobPhase phase() const { return result_.record.job().phase(); }

  void MoveTo(JobPhase phase, std::string reason) {
    job().set_phase(phase);
    job().set_reason(std::move(reason));
    if (IsFinal(phase)) *job().mutable_ended() = ToProto(now_);
    if (phase == JobPhase::JOB_PHASE_QUEUED || phase == JobPhase::JOB_PHASE_RECOVERING) {
      *record().mutable_waiting_since() = ToProto(now_);
    }
    result_.changed = true;
  }

  // Takes the attempt off all its workers, with its reason.
  void EndAttempt(const std::string& reason, AttemptEnd end);
  void Fail(const std::string& cause, AttemptEnd end, bool permanent, bool pending);
  void GiveUpOrRecover(const std::string& cause);

  // Whether ranks that are asked to save and stop have something to save, and will see that they are asked.
  bool CanSave(bool agents_can) const {
    return agents_can && phase() == JobPhase::JOB_PHASE_TRAINING && !EvaluatesAlone(result_.record);
  }
  void OrderStop(const std::string& reason, bool pause);
  // A rank ended otherwise than with success while its attempt is asked to stop.
  void StopRankInOrder(const RankExited& event);
  // `more`: what cut it short; empty: all ranks stopped as they were asked to.
  void FinishStop(const std::string& more);

  absl::Time now_;
  Transition result_;
};

void Machine::EndAttempt(const std::string& reason, AttemptEnd end) {
  if (!record().has_running()) return;
  const uint32_t number = record().running().number();
  for (const journal::v1::Grant& grant : record().running().grants()) {
    result_.effects.push_back(PushDesired{grant.worker()});
  }
  if (record().running().has_started()) result_.effects.push_back(CloseRendezvous{job().id(), number});
  result_.effects.push_back(CountAttempt{end});
  if (AttemptInfo* info = InfoOf(record(), number); info != nullptr) {
    *info->mutable_ended() = ToProto(now_);
    info->set_end_reason(reason);
  }
  record().clear_running();
  result_.changed = true;
}

void Machine::GiveUpOrRecover(const std::string& cause) {
  if (record().causes_size() < kMaxFailures) {
    MoveTo(JobPhase::JOB_PHASE_RECOVERING, cause);
    return;
  }
  std::string causes;
  for (int i = 0; i < record().causes_size(); ++i) absl::StrAppend(&causes, i ? "; " : "", record().causes(i));
  MoveTo(JobPhase::JOB_PHASE_FAILED,
         absl::StrCat(Count(record().causes_size(), "attempt"), " failed without a new checkpoint between them: ", causes));
}

void Machine::Fail(const std::string& cause, AttemptEnd end, bool permanent, bool pending) {
  const uint32_t number = record().running().number();
  EndAttempt(cause, end);
  record().set_cause_pending(pending);
  if (end == AttemptEnd::kStopped) {
    MoveTo(JobPhase::JOB_PHASE_RECOVERING, cause);
    return;
  }
  record().add_causes(absl::StrCat("attempt ", number, ": ", cause));
  if (permanent) {
    MoveTo(JobPhase::JOB_PHASE_FAILED, cause);
  } else {
    GiveUpOrRecover(cause);
  }
}

absl::Status Machine::On(const Placed& event) {
  if (phase() != JobPhase::JOB_PHASE_QUEUED && phase() != JobPhase::JOB_PHASE_RECOVERING) {
    return absl::FailedPreconditionError(absl::StrCat("job ", job().id(), " is ", PhaseName(phase())));
  }
  const uint32_t number = record().last_attempt() + 1;
  record().set_last_attempt(number);
  record().clear_running();
  journal::v1::RunningAttempt& running = *record().mutable_running();
  running.set_number(number);
  *running.mutable_reserved() = ToProto(now_);
  AttemptInfo& info = *job().add_attempts();
  info.set_number(number);
  info.set_from_step(CheckpointStep(record()));
  info.set_last_step(info.from_step());
  std::vector<std::string> workers;
  for (const RankPlacement& placement : event.ranks) {
    running.add_ranks();
    *info.add_ranks() = placement;
    if (std::find(workers.begin(), workers.end(), placement.worker()) == workers.end()) {
      workers.push_back(placement.worker());
    }
  }
  for (const std::string& worker : workers) {
    running.add_grants()->set_worker(worker);
    result_.effects.push_back(PushDesired{worker});
  }
  while (job().attempts_size() > kMaxAttemptInfos) job().mutable_attempts()->DeleteSubrange(0, 1);
  if (record().has_waiting_since()) {
    result_.effects.push_back(ObserveQueueWait{now_ - FromProto(record().waiting_since())});
    record().clear_waiting_since();
  }
  MoveTo(JobPhase::JOB_PHASE_RESERVING,
         absl::StrCat("reserving ", Count(event.ranks.size(), "slot"), " on ", absl::StrJoin(workers, ", ")));
  return absl::OkStatus();
}

absl::Status Machine::On(const WorkerPrepared& event) {
  journal::v1::RunningAttempt& running = *record().mutable_running();
  bool all = true;
  std::vector<std::string> workers;
  for (journal::v1::Grant& grant : *running.mutable_grants()) {
    if (grant.worker() == event.worker && !grant.prepared()) {
      grant.set_prepared(true);
      grant.set_instance(event.instance);
      result_.changed = true;
    }
    all = all && grant.prepared();
    workers.push_back(grant.worker());
  }
  if (!result_.changed || !all) return absl::OkStatus();
  *running.mutable_started() = ToProto(now_);
  if (AttemptInfo* info = InfoOf(record(), running.number())) *info->mutable_started() = running.started();
  result_.effects.push_back(OpenRendezvous{job().id(), running.number()});
  for (const std::string& worker : workers) result_.effects.push_back(PushDesired{worker});
  MoveTo(JobPhase::JOB_PHASE_STARTING,
         absl::StrCat("starting ", Count(running.ranks_size(), "rank"), " on ", absl::StrJoin(workers, ", ")));
  return absl::OkStatus();
}

absl::Status Machine::On(const WorkerRefused& event) {
  if (phase() != JobPhase::JOB_PHASE_RESERVING) return absl::OkStatus();
  EndAttempt(event.reason, AttemptEnd::kRefused);
  MoveTo(JobPhase::JOB_PHASE_QUEUED, event.reason);
  return absl::OkStatus();
}

void Machine::OrderStop(const std::string& reason, bool pause) {
  journal::v1::StopOrder& stop = *record().mutable_running()->mutable_stop();
  stop.set_reason(reason);
  *stop.mutable_since() = ToProto(now_);
  stop.set_pause(pause);
  for (const journal::v1::Grant& grant : record().running().grants()) {
    result_.effects.push_back(PushDesired{grant.worker()});
  }
  MoveTo(phase(), absl::StrCat(reason, ": saves a checkpoint and stops"));
}

void Machine::StopRankInOrder(const RankExited& event) {
  journal::v1::RunningAttempt& running = *record().mutable_running();
  if (event.cause() != muster::v1::EXIT_CAUSE_STOPPED) {
    return FinishStop(DescribeExit(record(), running.number(), event));
  }
  if (running.ranks(static_cast<int>(event.rank())).stopped()) return;
  running.mutable_ranks(static_cast<int>(event.rank()))->set_stopped(true);
  result_.changed = true;
  const bool all = std::all_of(running.ranks().begin(), running.ranks().end(), [](const journal::v1::RankState& rank) {
    return rank.stopped() || rank.succeeded();
  });
  if (all) FinishStop("");
}

void Machine::FinishStop(const std::string& more) {
  const journal::v1::StopOrder stop = record().running().stop();
  const std::string reason = more.empty() ? stop.reason() : absl::StrCat(stop.reason(), "; ", more);
  EndAttempt(reason, stop.pause() ? AttemptEnd::kPaused : AttemptEnd::kStopped);
  record().set_cause_pending(false);
  MoveTo(stop.pause() ? JobPhase::JOB_PHASE_PAUSED : JobPhase::JOB_PHASE_RECOVERING, reason);
}

absl::Status Machine::On(const SaveAndStop& event) {
  if (record().running().has_stop()) return absl::OkStatus();
  if (phase() == JobPhase::JOB_PHASE_RESERVING) return On(WorkerRefused{event.worker, event.reason});
  if (CanSave(event.can_save)) {
    OrderStop(event.reason, /*pause=*/false);
  } else {
    Fail(event.reason, AttemptEnd::kStopped, /*permanent=*/false, /*pending=*/false);
  }
  return absl::OkStatus();
}

absl::Status Machine::On(const StopOverdue&) {
  if (!record().running().has_stop()) return absl::OkStatus();
  FinishStop(absl::StrCat("not all ranks stopped within ", absl::ToInt64Seconds(kStopWithin), " s"));
  return absl::OkStatus();
}

absl::Status Machine::On(const WorkerLost& event) {
  if (phase() == JobPhase::JOB_PHASE_RESERVING) return On(WorkerRefused{event.worker, event.reason});
  if (record().running().has_stop()) {
    const AttemptInfo* info = InfoOf(record(), record().running().number());
    const bool needed = info == nullptr || std::any_of(info->ranks().begin(), info->ranks().end(), [&](const auto& rank) {
      return rank.worker() == event.worker && !record().running().ranks(static_cast<int>(rank.rank())).stopped();
    });
    if (needed) FinishStop(event.reason);  // otherwise its part is done: it may go
    return absl::OkStatus();
  }
  Fail(event.reason, AttemptEnd::kLost, /*permanent=*/false, /*pending=*/false);
  return absl::OkStatus();
}

absl::Status Machine::On(const Stuck& event) {
  Fail(event.reason, AttemptEnd::kNoProgress, /*permanent=*/false, /*pending=*/false);
  return absl::OkStatus();
}

absl::Status Machine::On(const UserCommand& event) {
  static constexpr absl::string_view kVerbs[] = {"cancel", "pause", "resume"};
  const std::string key = absl::StrCat(kVerbs[static_cast<int>(event.verb)], "/", event.user, "/", event.request_id);
  if (!event.request_id.empty()) {
    const auto& known = record().requests();
    if (std::find(known.begin(), known.end(), key) != known.end()) return absl::OkStatus();
  }
  const bool ended = IsFinal(phase()), paused = phase() == JobPhase::JOB_PHASE_PAUSED;
  const std::string by = absl::StrCat("by ", event.user);
  switch (event.verb) {
    case Verb::kCancel:
      if (phase() == JobPhase::JOB_PHASE_CANCELLED) return absl::OkStatus();
      if (ended) break;
      EndAttempt(absl::StrCat("cancelled ", by), AttemptEnd::kCancelled);
      MoveTo(JobPhase::JOB_PHASE_CANCELLED, absl::StrCat("cancelled ", by));
      break;
    case Verb::kPause:
      if (paused) return absl::OkStatus();
      if (ended) break;
      if (record().running().has_stop()) {
        if (record().running().stop().pause()) return absl::OkStatus();
        record().mutable_running()->mutable_stop()->set_pause(true);
        record().mutable_running()->mutable_stop()->set_reason(absl::StrCat("paused ", by));
        MoveTo(phase(), absl::StrCat("paused ", by, ": saves a checkpoint and stops"));
        break;
      }
      if (CanSave(event.can_save)) {
        OrderStop(absl::StrCat("paused ", by), /*pause=*/true);
        break;
      }
      EndAttempt(absl::StrCat("paused ", by), AttemptEnd::kPaused);
      MoveTo(JobPhase::JOB_PHASE_PAUSED, absl::StrCat("paused ", by));
      break;
    case Verb::kResume:
      if (ended) break;
      if (record().running().has_stop() && record().running().stop().pause()) {  // it stops all the same, and goes on
        record().mutable_running()->mutable_stop()->set_pause(false);
        record().mutable_running()->mutable_stop()->set_reason(absl::StrCat("resumed ", by));
        MoveTo(phase(), absl::StrCat("resumed ", by, " while it stops"));
        break;
      }
      if (!paused) return absl::OkStatus();  // it runs, or waits for slots, already
      MoveTo(JobPhase::JOB_PHASE_QUEUED, absl::StrCat("resumed ", by));
      break;
  }
  if (!result_.changed) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", job().id(), " has ended (", PhaseName(phase()), "). Submit it again."));
  }
  if (!event.request_id.empty()) {
    record().add_requests(key);
    while (record().requests_size() > kMaxRequests) record().mutable_requests()->DeleteSubrange(0, 1);
  }
  return absl::OkStatus();
}

absl::Status Machine::On(const RankStarted& event) {
  journal::v1::RunningAttempt& running = *record().mutable_running();
  if (event.rank() >= running.ranks_size()) return absl::InvalidArgumentError("no such rank");
  if (running.ranks(event.rank()).started()) return absl::OkStatus();
  running.mutable_ranks(event.rank())->set_started(true);
  result_.changed = true;
  if (phase() != JobPhase::JOB_PHASE_STARTING) return absl::OkStatus();
  for (const journal::v1::RankState& rank : running.ranks()) {
    if (!rank.started()) return absl::OkStatus();
  }
  std::vector<std::string> workers;
  for (const journal::v1::Grant& grant : running.grants()) workers.push_back(grant.worker());
  const uint64_t from = CheckpointStep(record());
  MoveTo(JobPhase::JOB_PHASE_TRAINING,
         absl::StrCat(EvaluatesAlone(record()) ? "evaluating on " : "training on ", Count(running.ranks_size(), "slot"),
                      " of ", absl::StrJoin(workers, ", "), from > 0 ? absl::StrCat(", from step ", from) : ""));
  return absl::OkStatus();
}

absl::Status Machine::On(const RankExited& event) {
  journal::v1::RunningAttempt& running = *record().mutable_running();
  if (event.rank() >= running.ranks_size()) return absl::InvalidArgumentError("no such rank");
  if (event.cause() != muster::v1::EXIT_CAUSE_SUCCESS) {
    const bool stopped = event.cause() == muster::v1::EXIT_CAUSE_STOPPED;
    if (event.cause() != muster::v1::EXIT_CAUSE_PERMANENT) {
      // Its agent stops, and has told its ranks before it told the coordinator: all ranks stop after the same step.
      if (stopped && !running.has_stop() && CanSave(true)) {
        OrderStop(DescribeExit(record(), running.number(), event), /*pause=*/false);
      }
      if (running.has_stop()) {
        StopRankInOrder(event);
        return absl::OkStatus();
      }
    }
    Fail(DescribeExit(record(), running.number(), event), stopped ? AttemptEnd::kStopped : AttemptEnd::kFailed,
         event.cause() == muster::v1::EXIT_CAUSE_PERMANENT, event.cause() == muster::v1::EXIT_CAUSE_COLLECTIVE);
    if (event.cause() == muster::v1::EXIT_CAUSE_DISAGREEMENT) CountDisagreement();
    return absl::OkStatus();
  }
  if (running.ranks(event.rank()).succeeded()) return absl::OkStatus();
  running.mutable_ranks(event.rank())->set_succeeded(true);
  result_.changed = true;
  for (const journal::v1::RankState& rank : running.ranks()) {
    if (!rank.succeeded()) return absl::OkStatus();
  }
  if (!EvaluatesAlone(record()) && job().export_manifest().empty()) {
    Fail("every rank succeeded, but none reported an export", AttemptEnd::kFailed, false, false);
    return absl::OkStatus();
  }
  EndAttempt("succeeded", AttemptEnd::kSucceeded);
  MoveTo(JobPhase::JOB_PHASE_SUCCEEDED, EvaluatesAlone(record()) ? "evaluated" : "trained and exported");
  return absl::OkStatus();
}

absl::Status Machine::On(const CheckpointSaved& event) {
  muster::v1::CheckpointInfo checkpoint = event.checkpoint();
  if (checkpoint.manifest().empty()) return absl::InvalidArgumentError("a checkpoint without a manifest");
  checkpoint.set_attempt(record().running().number());
  if (!checkpoint.has_time()) *checkpoint.mutable_time() = ToProto(now_);
  const bool further = checkpoint.step() > CheckpointStep(record());
  for (const muster::v1::CheckpointInfo& known : job().checkpoints()) {
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
  }
  result_.changed = true;
  return absl::OkStatus();
}

absl::Status Machine::On(const Evaluation& event) {
  for (Evaluation& known : *job().mutable_evaluations()) {
    if (known.label() != event.label() || known.dataset() != event.dataset() || known.split() != event.split()) continue;
    if (DeterministicBytes(known) == DeterministicBytes(event)) return absl::OkStatus();
    known = event;  // a later attempt came by again
    result_.changed = true;
    return absl::OkStatus();
  }
  *job().add_evaluations() = event;
  result_.changed = true;
  return absl::OkStatus();
}

absl::Status Machine::On(const Exported& event) {
  if (job().export_manifest() == event.manifest()) return absl::OkStatus();
  if (!job().export_manifest().empty()) result_.garbage.push_back(job().export_manifest());
  result_.restored.push_back(event.manifest());
  job().set_export_manifest(event.manifest());
  result_.changed = true;
  return absl::OkStatus();
}

void Machine::Amend(uint32_t attempt, const std::string& cause, bool permanent) {
  if (AttemptInfo* info = InfoOf(record(), attempt)) info->set_end_reason(cause);
  record().set_cause_pending(false);
  if (record().causes_size() > 0) {
    *record().mutable_causes(record().causes_size() - 1) = absl::StrCat("attempt ", attempt, ": ", cause);
  }
  result_.changed = true;
  const bool failed = phase() == JobPhase::JOB_PHASE_FAILED;
  if (permanent) {
    if (!failed) EndAttempt("another attempt's failure is permanent", AttemptEnd::kCancelled);
    MoveTo(JobPhase::JOB_PHASE_FAILED, cause);
  } else if (failed || phase() == JobPhase::JOB_PHASE_RECOVERING) {
    GiveUpOrRecover(cause);
  }
}

}  // namespace

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
    std::string ended;
    for (const AttemptInfo& info : job.job().attempts()) {
      if (info.has_ended()) ended = absl::StrCat(info.number());
    }
    if (ended == absl::StrCat(attempt)) {
      if (const auto* exit = std::get_if<RankExited>(&event);
          exit != nullptr && exit->cause() != muster::v1::EXIT_CAUSE_SUCCESS &&
          exit->cause() != muster::v1::EXIT_CAUSE_STOPPED && exit->cause() != muster::v1::EXIT_CAUSE_COLLECTIVE) {
        machine.Amend(attempt, DescribeExit(job, attempt, *exit), exit->cause() == muster::v1::EXIT_CAUSE_PERMANENT);
        if (exit->cause() == muster::v1::EXIT_CAUSE_DISAGREEMENT) machine.CountDisagreement();
      } else if (const auto* lost = std::get_if<WorkerLost>(&event); lost != nullptr) {
        machine.Amend(attempt, lost->reason, /*permanent=*/false);
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
