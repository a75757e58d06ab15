#include "coordinator/core/gauges.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/job_machine.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

using muster::v1::JobPhase;
using muster::v1::Progress;
using Samples = std::vector<GaugeSample>;

constexpr JobPhase kPhases[] = {
    JobPhase::JOB_PHASE_QUEUED,     JobPhase::JOB_PHASE_RESERVING, JobPhase::JOB_PHASE_STARTING,
    JobPhase::JOB_PHASE_TRAINING,   JobPhase::JOB_PHASE_RECOVERING, JobPhase::JOB_PHASE_SUCCEEDED,
    JobPhase::JOB_PHASE_FAILED,     JobPhase::JOB_PHASE_CANCELLED, JobPhase::JOB_PHASE_PAUSED};
constexpr const char* kStepPhases[] = {"data", "encode", "gather", "loss", "backward", "reduce", "optimise"};

double Seconds(absl::Duration duration) { return std::max(0.0, absl::ToDoubleSeconds(duration)); }

absl::Duration WaitOf(const JobRecord& record, absl::Time now) {
  const bool waits = !record.has_running() && record.has_waiting_since() &&
                     record.job().phase() != JobPhase::JOB_PHASE_PAUSED && !IsFinal(record.job().phase());
  return waits ? now - FromProto(record.waiting_since()) : absl::ZeroDuration();
}

void AddWorkers(const State& state, const Soft& soft, absl::Time now, Samples& out) {
  int ready = 0, silent = 0, draining = 0, used = 0;
  for (const muster::v1::Worker& worker : ViewWorkers(state, soft, now)) {
    ready += worker.state() == muster::v1::WORKER_STATE_READY;
    silent += worker.state() == muster::v1::WORKER_STATE_SILENT;
    draining += worker.state() == muster::v1::WORKER_STATE_DRAINING;
    for (const muster::v1::SlotInfo& slot : worker.slots()) used += !slot.job_id().empty();
    out.push_back({"muster_heartbeat_age_seconds", {worker.name()}, Seconds(now - FromProto(worker.last_heard()))});
  }
  out.push_back({"muster_workers", {"ready"}, static_cast<double>(ready)});
  out.push_back({"muster_workers", {"silent"}, static_cast<double>(silent)});
  out.push_back({"muster_workers", {"draining"}, static_cast<double>(draining)});
  out.push_back({"muster_slots", {"used"}, static_cast<double>(used)});
}

void AddQueues(const State& state, absl::Time now, Samples& out) {
  size_t shown = 0;
  for (const auto& [name, queue] : state.index.queues) {
    if (++shown > kMaxMeasuredQueues) break;
    const double oldest =
        queue.since.empty() ? 0 : Seconds(now - absl::FromUnixNanos(queue.since.begin()->first));
    out.push_back({"muster_queue_jobs", {name, "waiting"}, static_cast<double>(queue.waiting)});
    out.push_back({"muster_queue_jobs", {name, "running"}, static_cast<double>(queue.running)});
    out.push_back({"muster_queue_oldest_wait_seconds", {name}, oldest});
  }
}

// The attempt's last step, as rank 0 reported it.
void AddStep(const std::string& id, const Progress& progress, Samples& out) {
  const auto add = [&](const char* family, double value) { out.push_back({family, {id}, value}); };
  add("muster_job_step", static_cast<double>(progress.step()));
  add("muster_job_epoch", progress.epoch());
  add("muster_job_stage", progress.stage());
  add("muster_job_loss", progress.loss());
  add("muster_job_learning_rate", progress.learning_rate());
  add("muster_job_gradient_norm", progress.gradient_norm());
  add("muster_job_queries_per_second", progress.queries_per_second());
  add("muster_job_tokens_per_second", progress.tokens_per_second());
  add("muster_job_positive_entropy_nats", progress.positive_entropy());
  add("muster_job_effective_positives", std::exp(progress.positive_entropy()));
  for (int place = 0; place < progress.positive_weights_size(); ++place) {
    out.push_back({"muster_job_positive_weight", {id, absl::StrCat(place + 1)}, progress.positive_weights(place)});
  }
  add("muster_job_noise_weight", progress.noise_weight());
  add("muster_job_ignored_pairs", static_cast<double>(progress.ignored_pairs()));
  add("muster_job_rank_skew_seconds", progress.rank_skew_seconds());
  add("muster_job_gathered_bytes", static_cast<double>(progress.gathered_bytes()));
  add("muster_job_product_share", progress.product_share());
  add("muster_job_peak_memory_bytes", static_cast<double>(progress.peak_memory_bytes()));
  out.push_back({"muster_job_mean_similarity", {id, "positive"}, progress.mean_positive()});
  out.push_back({"muster_job_mean_similarity", {id, "negative"}, progress.mean_negative()});
  double other = 0;
  for (const auto& [phase, seconds] : progress.seconds()) other += seconds;
  for (const char* phase : kStepPhases) {
    const auto found = progress.seconds().find(phase);
    const double seconds = found == progress.seconds().end() ? 0 : found->second;
    other -= seconds;
    out.push_back({"muster_job_step_seconds", {id, phase}, seconds});
  }
  out.push_back({"muster_job_step_seconds", {id, "other"}, std::max(0.0, other)});
}

// The newest evaluation of each dataset and split: at most two, of `evaluate` and of `report`.
std::map<std::pair<std::string, std::string>, const muster::v1::Evaluation*> NewestEvaluations(
    const journal::v1::StoredJob& job) {
  std::map<std::pair<std::string, std::string>, const muster::v1::Evaluation*> newest;
  for (const muster::v1::Evaluation& one : job.evaluations()) newest[{one.dataset(), one.split()}] = &one;
  return newest;
}

void AddJob(const JobRecord& record, const Soft& soft, const std::map<muster::v1::Device, size_t>& free, absl::Time now,
            Samples& out) {
  const journal::v1::StoredJob& job = record.job();
  const std::string& id = job.id();
  const muster::v1::ResourcesSpec& resources = job.spec().resources();
  const auto add = [&](const char* family, double value) { out.push_back({family, {id}, value}); };
  out.push_back({"muster_job_info", {id, job.spec().name(), resources.queue(), job.owner()}, 1});
  add("muster_job_attempt", record.last_attempt());
  add("muster_job_slots", record.running().ranks_size());
  add("muster_job_total_steps", static_cast<double>(job.resolved().total_steps()));
  add("muster_job_waiting_seconds", Seconds(WaitOf(record, now)));
  const auto supply = free.find(resources.device());
  const size_t available = supply == free.end() ? 0 : supply->second;
  const bool waits = !record.has_running() && job.phase() != JobPhase::JOB_PHASE_PAUSED;
  add("muster_job_placeable", waits && available >= std::max<uint32_t>(1, resources.slots().min()));
  add("muster_job_checkpoint_step", static_cast<double>(CheckpointStep(record)));

  const auto found = soft.jobs.find(id);
  const bool heard = found != soft.jobs.end() && found->second.attempt != 0;
  if (heard && found->second.progress.step() > 0) AddStep(id, found->second.progress, out);
  for (const auto& [set, evaluation] : NewestEvaluations(job)) {
    for (const auto& [metric, value] : evaluation->metrics()) {
      out.push_back({"muster_job_evaluation", {id, set.first, set.second, metric}, value});
    }
  }
  if (job.phase() != JobPhase::JOB_PHASE_TRAINING) return;
  absl::Time moved = FromProto(record.running().started());
  if (found != soft.jobs.end()) moved = std::max(moved, found->second.changed);
  add("muster_job_progress_age_seconds", Seconds(AwakeSince(soft, moved, now)));
  absl::Time saved = FromProto(record.running().started());
  for (const auto& checkpoint : job.checkpoints()) saved = std::max(saved, FromProto(checkpoint.time()));
  add("muster_job_checkpoint_age_seconds", Seconds(now - saved));
}

void AddJobs(const State& state, const Soft& soft, const std::map<muster::v1::Device, size_t>& free, absl::Time now,
             Samples& out) {
  std::map<uint64_t, std::string> running;
  for (const auto& [id, attempt] : state.index.running) running[state.jobs.at(id).sequence()] = id;
  size_t shown = 0;
  for (const auto& [sequence, id] : running) {
    if (++shown > kMaxMeasuredJobs) return;
    AddJob(state.jobs.at(id), soft, free, now, out);
  }
  for (const auto& [submitted, sequence, id] : state.index.active_by_submission) {
    if (state.index.running.contains(id)) continue;
    if (++shown > kMaxMeasuredJobs) return;
    AddJob(state.jobs.at(id), soft, free, now, out);
  }
}

}  // namespace

std::vector<GaugeSample> GaugesOf(const State& state, const Soft& soft, absl::Time now) {
  Samples out;
  out.push_back({"muster_coordinator_epoch", {}, static_cast<double>(state.epoch)});
  for (const JobPhase phase : kPhases) {
    const auto count = state.phases.find(phase);
    out.push_back({"muster_jobs",
                   {std::string(PhaseName(phase))},
                   count == state.phases.end() ? 0 : static_cast<double>(count->second)});
  }
  AddWorkers(state, soft, now, out);
  size_t free = 0, withheld = 0;
  std::map<muster::v1::Device, size_t> free_of;
  for (const WorkerSlots& worker : SnapshotOf(state, soft, now).workers) {
    free += worker.free.size();
    withheld += worker.withheld;
    free_of[worker.device] += worker.free.size();
  }
  out.push_back({"muster_slots", {"free"}, static_cast<double>(free)});
  out.push_back({"muster_slots", {"withheld"}, static_cast<double>(withheld)});
  AddQueues(state, now, out);
  AddJobs(state, soft, free_of, now, out);
  return out;
}

}  // namespace muster
