// An attempt from its placement to its end: workers, ranks, and reports of ranks.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/deterministic_bytes.h"
#include "common/spec/job_spec.h"
#include "coordinator/core/job_machine_internal.h"
#include "coordinator/core/retention.h"

namespace muster {
namespace {

using journal::v1::StoredAttempt;
using muster::internal::v1::Exported;
using muster::internal::v1::RankExited;
using muster::internal::v1::RankStarted;
using muster::v1::Evaluation;
using muster::v1::JobPhase;
using muster::v1::RankPlacement;

// "stopped early at step 120 of 400: ndcg@10 was not better than 0.6312 (step 60) in 3 evaluations"
std::string DescribeEarlyStop(const muster::internal::v1::StoppedEarly& stopped,
                              const muster::v1::ResolvedJob& resolved) {
  return absl::StrFormat("stopped early at step %d of %d: %s was not better than %.4f (step %d) in %d evaluation%s",
                         stopped.step(), resolved.total_steps(), stopped.metric(), stopped.best(), stopped.best_step(),
                         stopped.patience(), stopped.patience() == 1 ? "" : "s");
}

// "; started ahead of job b, which …"; empty: it was not started ahead.
std::string AheadNote(const JobRecord& record) {
  const std::string& ahead = record.running().started_ahead();
  return ahead.empty() ? "" : absl::StrCat("; ", ahead);
}

std::string Count(size_t count, absl::string_view noun) { return absl::StrCat(count, " ", noun, count == 1 ? "" : "s"); }

}  // namespace

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
  running.set_started_ahead(event.started_ahead);
  StoredAttempt& info = *job().add_attempts();
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
         {muster::v1::REASON_CODE_RESERVING,
          absl::StrCat("reserving ", Count(event.ranks.size(), "slot"), " on ", absl::StrJoin(workers, ", "),
                       AheadNote(record()))});
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
  if (StoredAttempt* info = InfoOf(record(), running.number())) *info->mutable_started() = running.started();
  result_.effects.push_back(OpenRendezvous{job().id(), running.number()});
  for (const std::string& worker : workers) result_.effects.push_back(PushDesired{worker});
  MoveTo(JobPhase::JOB_PHASE_STARTING,
         {muster::v1::REASON_CODE_STARTING,
          absl::StrCat("starting ", Count(running.ranks_size(), "rank"), " on ", absl::StrJoin(workers, ", "),
                       AheadNote(record()))});
  return absl::OkStatus();
}

absl::Status Machine::On(const WorkerRefused& event) {
  if (phase() != JobPhase::JOB_PHASE_RESERVING) return absl::OkStatus();
  return Release({muster::v1::REASON_CODE_WORKER_REFUSED, event.reason});
}

absl::Status Machine::Release(const Reason& reason) {
  EndAttempt(reason, AttemptEnd::kRefused);
  MoveTo(JobPhase::JOB_PHASE_QUEUED, reason);
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
  record().clear_start_failures();
  MoveTo(JobPhase::JOB_PHASE_TRAINING,
         {muster::v1::REASON_CODE_RUNNING,
          absl::StrCat(MinesOnly(job().spec())        ? "mining on "
                       : ExportsOnly(job().spec())    ? "exporting on "
                       : EvaluatesAlone(record())     ? "evaluating on "
                                                      : "training on ", Count(running.ranks_size(), "slot"),
                       " of ", absl::StrJoin(workers, ", "), from > 0 ? absl::StrCat(", from step ", from) : "",
                       DamageNote(record()), AheadNote(record()))});
  return absl::OkStatus();
}

// Stored as soon as the rank has ended: if the coordinator restarts before the other ranks end, nobody sends it again.
void Machine::KeepProgress(const muster::v1::Progress& progress) {
  *job().mutable_progress() = progress;
  for (StoredAttempt& info : *job().mutable_attempts()) {
    if (info.number() != record().running().number()) continue;
    info.set_last_step(std::max<uint64_t>(info.from_step(), progress.step()));
  }
}

absl::Status Machine::On(const RankExited& event) {
  journal::v1::RunningAttempt& running = *record().mutable_running();
  if (event.rank() >= running.ranks_size()) return absl::InvalidArgumentError("no such rank");
  if (event.has_progress()) KeepProgress(event.progress());
  if (event.cause() != muster::internal::v1::EXIT_CAUSE_SUCCESS) {
    const bool stopped = event.cause() == muster::internal::v1::EXIT_CAUSE_STOPPED;
    if (event.cause() != muster::internal::v1::EXIT_CAUSE_PERMANENT) {
      // The agent is stopping. It notified its ranks before it notified the coordinator, so all ranks stop after the same step.
      if (stopped && !running.has_stop() && CanSave(true)) {
        OrderStop(ReasonOfExit(record(), running.number(), event), /*pause=*/false);
      }
      if (running.has_stop()) {
        StopRankInOrder(event);
        return absl::OkStatus();
      }
    }
    Fail(ReasonOfExit(record(), running.number(), event), stopped ? AttemptEnd::kStopped : AttemptEnd::kFailed,
         event.cause() == muster::internal::v1::EXIT_CAUSE_PERMANENT,
         event.cause() == muster::internal::v1::EXIT_CAUSE_COLLECTIVE);
    if (event.cause() == muster::internal::v1::EXIT_CAUSE_DISAGREEMENT) CountDisagreement();
    return absl::OkStatus();
  }
  if (running.ranks(event.rank()).succeeded()) return absl::OkStatus();
  running.mutable_ranks(event.rank())->set_succeeded(true);
  result_.changed = true;
  for (const journal::v1::RankState& rank : running.ranks()) {
    if (!rank.succeeded()) return absl::OkStatus();
  }
  const bool exports = !EvaluatesAlone(record()) || ExportsOnly(job().spec());
  if (exports && job().export_manifest().empty()) {
    Fail({muster::v1::REASON_CODE_NO_EXPORT, "every rank succeeded, but none reported an export"}, AttemptEnd::kFailed,
         false, false);
    return absl::OkStatus();
  }
  EndAttempt({muster::v1::REASON_CODE_SUCCEEDED, "succeeded"}, AttemptEnd::kSucceeded);
  for (std::string& manifest : DropCheckpoints(job())) result_.garbage.push_back(std::move(manifest));
  std::string reason = MinesOnly(job().spec())  ? "mined"
                       : !exports                 ? "evaluated"
                       : EvaluatesAlone(record()) ? "exported"
                                                  : "trained and exported";
  if (!record().stopped_early().empty()) absl::StrAppend(&reason, "; ", record().stopped_early());
  // All ranks of a successful run send the same note, such as one about steps without a negative.
  if (!event.message().empty()) absl::StrAppend(&reason, "; ", event.message());
  MoveTo(JobPhase::JOB_PHASE_SUCCEEDED, {record().stopped_early().empty() ? muster::v1::REASON_CODE_SUCCEEDED
                                                                         : muster::v1::REASON_CODE_STOPPED_EARLY,
                                        std::move(reason)});
  return absl::OkStatus();
}

absl::Status Machine::On(const Evaluation& event) {
  for (Evaluation& known : *job().mutable_evaluations()) {
    if (known.label() != event.label() || known.dataset() != event.dataset() || known.split() != event.split()) continue;
    if (DeterministicBytes(known) == DeterministicBytes(event)) return absl::OkStatus();
    known = event;  // a later attempt reported the same evaluation
    result_.changed = true;
    return absl::OkStatus();
  }
  *job().add_evaluations() = event;
  const auto alike = [&](const Evaluation& known) {
    return known.dataset() == event.dataset() && known.split() == event.split();
  };
  auto& all = *job().mutable_evaluations();
  if (std::count_if(all.begin(), all.end(), alike) > kMaxEvaluations) all.erase(std::find_if(all.begin(), all.end(), alike));
  result_.changed = true;
  return absl::OkStatus();
}

// A job that only evaluates has no export. Its report names the stored results as the step log.
absl::Status Machine::On(const Exported& event) {
  const std::string early = event.has_stopped_early() ? DescribeEarlyStop(event.stopped_early(), job().resolved()) : "";
  const bool has_log = event.step_log().empty() || job().step_log_manifest() == event.step_log();
  const bool has_export = event.manifest().empty() || job().export_manifest() == event.manifest();
  if (has_export && has_log && record().stopped_early() == early) return absl::OkStatus();
  record().set_stopped_early(early);
  if (!has_log) {
    if (!job().step_log_manifest().empty()) result_.garbage.push_back(job().step_log_manifest());
    result_.restored.push_back(event.step_log());
    job().set_step_log_manifest(event.step_log());
  }
  if (!has_export && !job().export_manifest().empty()) result_.garbage.push_back(job().export_manifest());
  if (!event.manifest().empty()) {
    result_.restored.push_back(event.manifest());
    job().set_export_manifest(event.manifest());
  }
  result_.changed = true;
  return absl::OkStatus();
}

absl::Status Machine::On(const muster::internal::v1::TraceSaved& event) {
  const std::string& kept = job().trace_manifest();
  if (kept == event.manifest()) return absl::OkStatus();
  if (!kept.empty()) result_.garbage.push_back(kept);
  result_.restored.push_back(event.manifest());
  job().set_trace_manifest(event.manifest());
  result_.changed = true;
  return absl::OkStatus();
}

}  // namespace muster
