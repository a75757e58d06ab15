// The part of Step that handles messages from agents.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/run_time.h"
#include "coordinator/core/step.h"
#include "coordinator/core/stepper.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

using muster::internal::v1::ProgressReport;
using muster::internal::v1::Report;

// The closed set of kinds of a report, for metrics.
std::string KindOf(const Report& report) {
  switch (report.event_case()) {
    case Report::kPrepared: return "prepared";
    case Report::kRefused: return "refused";
    case Report::kRankStarted: return "rank_started";
    case Report::kRankExited: return "rank_exited";
    case Report::kCheckpoint: return "checkpoint";
    case Report::kEvaluation: return "evaluation";
    case Report::kExported: return "exported";
    case Report::kEpochClosed: return "epoch_closed";
    case Report::kTrace: return "trace";
    case Report::kCheckpointRefused: return "checkpoint_refused";
    case Report::EVENT_NOT_SET: break;
  }
  return "unknown";
}

// Nothing: the report is not about an attempt, or this version does not know its kind.
std::optional<JobEvent> JobEventOf(const Report& report, const std::string& worker, const std::string& instance) {
  switch (report.event_case()) {
    case Report::kPrepared: return WorkerPrepared{worker, instance};
    case Report::kRefused: return WorkerRefused{worker, absl::StrCat(worker, " refused: ", report.refused().reason())};
    case Report::kRankStarted: return report.rank_started();
    case Report::kRankExited: return report.rank_exited();
    case Report::kCheckpoint: return report.checkpoint();
    case Report::kEvaluation: return report.evaluation();
    case Report::kExported: return report.exported();
    case Report::kCheckpointRefused: return report.checkpoint_refused();
    case Report::kTrace: return report.trace();
    case Report::kEpochClosed:
    case Report::EVENT_NOT_SET: break;
  }
  return std::nullopt;
}

// Whether the report is about a rank that the attempt never had on this worker.
bool IsOfForeignRank(const JobRecord& job, const Report& report, const std::string& worker) {
  if (!report.has_rank_started() && !report.has_rank_exited()) return false;
  const uint32_t rank = report.has_rank_started() ? report.rank_started().rank() : report.rank_exited().rank();
  for (const journal::v1::StoredAttempt& info : job.job().attempts()) {
    if (info.number() != report.attempt()) continue;
    return std::none_of(info.ranks().begin(), info.ranks().end(), [&](const muster::v1::RankPlacement& placement) {
      return placement.rank() == rank && placement.worker() == worker;
    });
  }
  return true;
}

}  // namespace

SoftWorker* Stepper::Heard(const std::string& worker, uint64_t session) {
  const auto found = soft_.workers.find(worker);
  if (found == soft_.workers.end() || found->second.session != session) return nullptr;
  SoftWorker& agent = found->second;
  if (agent.silent) decision_.effects.push_back(PushDesired{worker});
  if (agent.silent || now_ - agent.last_heard > kFresh) {  // its slots were not counted as free
    Touch(worker);
    decision_.replan = true;
  }
  HeardNow(worker, agent);
  return &agent;
}

void Stepper::HeardNow(const std::string& name, SoftWorker& worker) {
  worker.silent = false;
  worker.last_heard = now_;
  soft_.heard.Set(name, now_);
  soft_.cluster.NoteHeard(name, now_);
}

void Stepper::Stale(CountStale stale, const absl::Status& status, const std::string& worker) {
  stale.detail = absl::StrCat(worker, ": ", status.message());
  decision_.effects.push_back(std::move(stale));
}

void Stepper::On(const AgentHello& event) {
  const std::string& name = event.hello.worker();
  SoftWorker& agent = soft_.workers[name];
  if (event.session < agent.session) {  // a slow handler: the agent has already opened a newer stream
    decision_.effects.push_back(CloseSession{event.session});
    return;
  }
  if (agent.session != 0 && agent.session != event.session) decision_.effects.push_back(CloseSession{agent.session});
  if (agent.hello.instance() != event.hello.instance()) agent.last_report = 0;
  agent.hello = event.hello;
  agent.hello.clear_attempts();
  agent.session = event.session;
  agent.pushed = absl::InfinitePast();
  HeardNow(name, agent);
  Touch(name);
  soft_.leaving.erase(name);
  agent.avoided_until = absl::InfinitePast();

  const auto known = state_.workers.find(name);
  if (known == state_.workers.end() || known->second.device() != event.hello.device()) {
    WorkerRecord record;
    if (known != state_.workers.end()) record = known->second;
    record.set_name(name);
    record.set_device(event.hello.device());
    decision_.records.push_back(RecordOf(std::move(record)));
  }
  LoseWorker(name, absl::StrCat("the agent of ", name, " restarted"), [&](const journal::v1::Grant& grant) {
    return grant.prepared() && grant.instance() != event.hello.instance();
  });
  Observe(event.hello.attempts(), now_, agent);
  NoteDraining(name, agent, event.hello.draining());
  decision_.effects.push_back(Welcome{name, event.session});
  decision_.effects.push_back(PushDesired{name});
  decision_.replan = true;
}

void Stepper::On(const AgentHeartbeat& event) {
  SoftWorker* agent = Heard(event.worker, event.session);
  if (agent == nullptr) return;
  const auto before = agent->observed;
  Observe(event.heartbeat.attempts(), now_, *agent);
  if (agent->observed != before) {
    Touch(event.worker);
    decision_.replan = true;
  }
  NoteDraining(event.worker, *agent, event.heartbeat.draining());
}

void Stepper::NoteDraining(const std::string& name, SoftWorker& worker, bool draining) {
  const bool begins = draining && !worker.draining;
  if (worker.draining != draining) Touch(name);
  worker.draining = draining;
  if (!begins) return;
  decision_.replan = true;
  Evict(name);
}

void Stepper::ForgetRank(SoftWorker& agent, const Report& report) {
  Touch(agent.hello.worker());
  const auto seen = agent.observed.find({report.job_id(), report.attempt()});
  if (seen == agent.observed.end()) return;
  seen->second.erase(report.rank_exited().rank());
  if (seen->second.empty()) agent.observed.erase(seen);
  decision_.replan = true;
}

void Stepper::On(const AgentReport& event) {
  SoftWorker* agent = Heard(event.worker, event.session);
  if (agent == nullptr) return;
  const Report& report = event.report;
  const AckReport ack{event.worker, event.session, report.sequence()};
  if (report.event_case() == Report::EVENT_NOT_SET || report.sequence() <= agent->last_report) {
    decision_.effects.push_back(ack);
    return;
  }
  agent->last_report = report.sequence();
  const JobRecord* job = Job(report.job_id());
  const bool foreign = job != nullptr && IsOfForeignRank(*job, report, event.worker);
  const absl::Status fence = job == nullptr             ? absl::NotFoundError("no such job")
                             : foreign ? absl::FailedPreconditionError("the rank is not on this worker")
                             : !HasGrant(*job, event.worker) && job->has_running() &&
                                     job->running().number() == report.attempt()
                                 ? absl::FailedPreconditionError("the worker has no rank of this attempt")
                                 : Fence(*job, report.attempt());
  if (!fence.ok()) {
    // A rank that was asked to stop reports its end: expected, not stale.
    const bool expected =
        report.has_rank_exited() && report.rank_exited().cause() == muster::internal::v1::EXIT_CAUSE_STOPPED;
    if (!expected) Stale({KindOf(report), "", report.job_id(), report.attempt()}, fence, event.worker);
    if (job != nullptr && !foreign && report.has_rank_exited()) {
      const JobRecord before = *job;
      absl::StatusOr<Transition> amended = AmendCause(before, report.attempt(), report.rank_exited(), now_);
      if (amended.ok()) Take(before, *std::move(amended));
    }
  } else {
    if (report.has_refused()) {
      agent->avoided_until = now_ + kAvoidRefuser;
      Touch(event.worker);
    }
    if (report.has_epoch_closed()) {
      MeasureEpoch(report.job_id(), report.epoch_closed());
    } else if (report.has_rank_exited()) {
      if (report.rank_exited().has_progress()) {
        ProgressReport last;
        last.set_job_id(report.job_id());
        last.set_attempt(report.attempt());
        *last.mutable_progress() = report.rank_exited().progress();
        TakeProgress(*job, last);
      }
      if (!TakeExitInOutage(*job, report.rank_exited())) {
        Drive(report.job_id(), WithLaggingPeer(*job, report.rank_exited()));
      }
    } else {
      const std::optional<JobEvent> job_event = JobEventOf(report, event.worker, agent->hello.instance());
      if (job_event.has_value()) Drive(report.job_id(), *job_event);
      if (report.has_checkpoint()) GrowAtCheckpoint(report.job_id());
    }
  }
  if (report.has_rank_exited()) ForgetRank(*agent, report);
  decision_.effects.push_back(ack);
}

void Stepper::On(const AgentProgress& event) {
  if (Heard(event.worker, event.session) == nullptr) return;
  const JobRecord* job = Job(event.progress.job_id());
  absl::Status fence = job == nullptr ? absl::NotFoundError("no such job") : Fence(*job, event.progress.attempt());
  if (fence.ok() && !HasGrant(*job, event.worker)) {
    fence = absl::FailedPreconditionError("the worker has no rank of this attempt");
  }
  if (!fence.ok()) {
    Stale({"progress", "", event.progress.job_id(), event.progress.attempt()}, fence, event.worker);
    return;
  }
  TakeProgress(*job, event.progress);
  decision_.effects.push_back(JobChanged{event.progress.job_id()});
}

void Stepper::TakeProgress(const JobRecord& job, const ProgressReport& report) {
  SoftJob& soft = soft_.jobs[report.job_id()];
  const bool stepped = soft.attempt != report.attempt() || soft.progress.step() < report.progress().step();
  const bool moved = NoteProgress(report, now_, soft);
  UpdateGoodput(report.job_id());
  if (moved && job.has_running()) soft_.deadlines.Set(report.job_id(), NextDeadline(job));
  soft_.ends.SetEnd(report.job_id(), EndOf(job, &soft, now_));
  if (stepped && soft.progress.step() > 0) {
    decision_.effects.push_back(StepReported{report.job_id(), StepMetricsOf(soft.progress, soft.attempt, now_)});
  }
  MeasureProgress(job, soft);
}

void Stepper::On(const AgentGone& event) {
  const auto found = soft_.workers.find(event.worker);
  if (found == soft_.workers.end() || found->second.session != event.session) return;
  found->second.session = 0;
  Touch(event.worker);
  if (found->second.draining) soft_.leaving.insert(event.worker);
  ForgetIfGone(event.worker);
}

void Stepper::ForgetIfGone(const std::string& worker) {
  const auto found = soft_.workers.find(worker);
  if (found == soft_.workers.end() || found->second.session != 0 || !found->second.draining) return;
  const auto jobs = state_.index.by_worker.find(worker);
  const bool granted = jobs != state_.index.by_worker.end() &&
                       std::any_of(jobs->second.begin(), jobs->second.end(),
                                   [&](const std::string& id) { return HasGrant(*Job(id), worker); });
  if (granted || !found->second.observed.empty()) return;
  soft_.workers.erase(found);
  soft_.heard.Erase(worker);
  soft_.leaving.erase(worker);
  Touch(worker);
  decision_.replan = true;
}

}  // namespace muster
