#include "coordinator/runtime/metrics.h"

#include "coordinator/core/gang.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using muster::v1::JobPhase;

prometheus::Family<prometheus::Gauge>& Gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}
prometheus::Family<prometheus::Counter>& Counter(prometheus::Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}
prometheus::Histogram& Histogram(prometheus::Registry& registry, const char* name, const char* help,
                                 prometheus::Histogram::BucketBoundaries buckets) {
  return BuildHistogram().Name(name).Help(help).Register(registry).Add({}, std::move(buckets));
}

const char* EndName(AttemptEnd end) {
  switch (end) {
    case AttemptEnd::kSucceeded: return "succeeded";
    case AttemptEnd::kFailed: return "failed";
    case AttemptEnd::kLost: return "lost";
    case AttemptEnd::kNoProgress: return "no_progress";
    case AttemptEnd::kStopped: return "stopped";
    case AttemptEnd::kRefused: return "refused";
    case AttemptEnd::kCancelled: return "cancelled";
    case AttemptEnd::kPaused: return "paused";
  }
  return "unknown";
}

constexpr JobPhase kPhases[] = {
    JobPhase::JOB_PHASE_QUEUED,    JobPhase::JOB_PHASE_RESERVING, JobPhase::JOB_PHASE_STARTING,
    JobPhase::JOB_PHASE_TRAINING,  JobPhase::JOB_PHASE_RECOVERING, JobPhase::JOB_PHASE_SUCCEEDED,
    JobPhase::JOB_PHASE_FAILED,    JobPhase::JOB_PHASE_CANCELLED, JobPhase::JOB_PHASE_PAUSED};

}  // namespace

CoordinatorMetrics::CoordinatorMetrics(std::shared_ptr<prometheus::Registry> registry, const std::string& version)
    : registry_(std::move(registry)),
      transitions_(Counter(*registry_, "muster_job_transitions_total", "Changes of jobs' phases, by the new phase")),
      stale_(Counter(*registry_, "muster_stale_requests_total", "Messages of attempts that had ended, refused")),
      attempts_(Counter(*registry_, "muster_attempts_total", "Attempts that ended, by how")),
      queue_wait_(Histogram(*registry_, "muster_queue_wait_seconds", "From waiting for slots to reserving them",
                            {0.01, 0.1, 1, 5, 15, 60, 300, 1800, 7200, 43200})),
      journal_write_(Histogram(*registry_, "muster_journal_write_seconds", "One flush of a group of records",
                               {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2})),
      epoch_(Gauge(*registry_, "muster_coordinator_epoch", "Raised at every start of the coordinator").Add({})),
      jobs_(Gauge(*registry_, "muster_jobs", "Jobs by phase"), "phase"),
      workers_(Gauge(*registry_, "muster_workers", "Workers by state"), "state"),
      slots_(Gauge(*registry_, "muster_slots", "Slots of known workers by state"), "state"),
      heartbeat_age_(Gauge(*registry_, "muster_heartbeat_age_seconds", "Since a worker was last heard"), "worker"),
      job_step_(Gauge(*registry_, "muster_job_step", "Steps done by a running job"), "job"),
      job_loss_(Gauge(*registry_, "muster_job_loss", "Loss of the last step of a running job"), "job") {
  Gauge(*registry_, "muster_build_info", "1, with the version").Add({{"version", version}, {"program", "coordinator"}}).Set(1);
  for (const JobPhase phase : kPhases) transitions_.Add({{"phase", std::string(PhaseName(phase))}});
  for (const AttemptEnd end : {AttemptEnd::kSucceeded, AttemptEnd::kFailed, AttemptEnd::kLost, AttemptEnd::kNoProgress,
                               AttemptEnd::kStopped, AttemptEnd::kRefused, AttemptEnd::kCancelled, AttemptEnd::kPaused}) {
    attempts_.Add({{"end", EndName(end)}});
  }
  for (const char* kind : {"prepared", "refused", "rank_started", "rank_exited", "checkpoint", "evaluation", "exported",
                           "progress"}) {
    stale_.Add({{"kind", kind}});
  }
}

void CoordinatorMetrics::CountTransition(JobPhase phase) {
  transitions_.Add({{"phase", std::string(PhaseName(phase))}}).Increment();
}
void CoordinatorMetrics::CountStaleRequest(const std::string& kind) { stale_.Add({{"kind", kind}}).Increment(); }
void CoordinatorMetrics::CountAttemptEnd(AttemptEnd end) { attempts_.Add({{"end", EndName(end)}}).Increment(); }
void CoordinatorMetrics::ObserveQueueWaiting(absl::Duration wait) { queue_wait_.Observe(absl::ToDoubleSeconds(wait)); }
void CoordinatorMetrics::ObserveJournalWrite(absl::Duration time) {
  journal_write_.Observe(absl::ToDoubleSeconds(time));
}

void CoordinatorMetrics::Round::Set(const std::string& value, double number) { next_[value] = number; }

void CoordinatorMetrics::Round::End() {
  for (auto it = gauges_.begin(); it != gauges_.end();) {
    if (next_.contains(it->first)) {
      ++it;
      continue;
    }
    family_.Remove(it->second);
    it = gauges_.erase(it);
  }
  for (const auto& [value, number] : next_) {
    prometheus::Gauge*& gauge = gauges_[value];
    if (gauge == nullptr) gauge = &family_.Add({{label_, value}});
    gauge->Set(number);
  }
  next_.clear();
}

void CoordinatorMetrics::Refresh(const State& state, const Soft& soft, absl::Time now) {
  epoch_.Set(static_cast<double>(state.epoch));
  std::map<JobPhase, int> phases;
  for (const auto& [id, record] : state.jobs) ++phases[record.job().phase()];
  for (const JobPhase phase : kPhases) jobs_.Set(std::string(PhaseName(phase)), phases[phase]);
  jobs_.End();

  int ready = 0, silent = 0, draining = 0, used = 0;
  for (const muster::v1::Worker& worker : ViewWorkers(state, soft, now)) {
    ready += worker.state() == muster::v1::WORKER_STATE_READY;
    silent += worker.state() == muster::v1::WORKER_STATE_SILENT;
    draining += worker.state() == muster::v1::WORKER_STATE_DRAINING;
    for (const muster::v1::SlotInfo& slot : worker.slots()) used += !slot.job_id().empty();
    heartbeat_age_.Set(worker.name(), absl::ToDoubleSeconds(now - FromProto(worker.last_heard())));
  }
  heartbeat_age_.End();
  workers_.Set("ready", ready);
  workers_.Set("silent", silent);
  workers_.Set("draining", draining);
  workers_.End();
  size_t free = 0, withheld = 0;
  for (const WorkerSlots& worker : SnapshotOf(state, soft, now).workers) {
    free += worker.free.size();
    withheld += worker.withheld;
  }
  slots_.Set("used", used);
  slots_.Set("free", static_cast<double>(free));
  slots_.Set("withheld", static_cast<double>(withheld));
  slots_.End();

  for (const std::string& id : state.active) {
    const auto job = soft.jobs.find(id);
    if (job == soft.jobs.end() || job->second.attempt == 0) continue;
    job_step_.Set(id, static_cast<double>(job->second.progress.step()));
    job_loss_.Set(id, job->second.progress.loss());
  }
  job_step_.End();
  job_loss_.End();
}

}  // namespace muster
