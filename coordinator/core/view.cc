#include "coordinator/core/view.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/name_page.h"
#include "coordinator/core/api_job.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobPhase;
using muster::v1::Worker;

// Replaces the record's reason if the soft state knows better why the job waits or makes no progress. `view`: a Job or a
// JobSummary.
template <typename View>
void LayOver(const JobRecord& record, const Soft& soft, View& view) {
  if (const Reason waiting = WaitingReason(record, soft); !waiting.empty()) {
    if (view.phase() == JobPhase::JOB_PHASE_QUEUED) {
      view.set_reason(waiting.text);
      view.set_reason_code(waiting.code);
    }
    // Keeps the code of the failure.
    if (view.phase() == JobPhase::JOB_PHASE_RECOVERING) view.set_reason(absl::StrCat(view.reason(), "; ", waiting.text));
  }
  const auto found = soft.jobs.find(view.id());
  if (found == soft.jobs.end() || !record.has_running() || found->second.standstill.empty()) return;
  view.set_reason(found->second.standstill.text);
  view.set_reason_code(found->second.standstill.code);
}

// The metric that selects the best parameters: the specification's, or ndcg@10.
void AddEvaluations(const journal::v1::StoredJob& job, muster::v1::JobSummary& summary) {
  const std::string& asked = job.spec().evaluate().metric();
  const std::string metric = asked.empty() ? "ndcg@10" : asked;
  for (const muster::v1::Evaluation& evaluation : job.evaluations()) {
    const auto value = evaluation.metrics().find(metric);
    if (value == evaluation.metrics().end()) continue;
    muster::v1::EvaluationSummary last;
    last.set_label(evaluation.label());
    last.set_step(evaluation.step());
    last.set_metric(metric);
    last.set_value(value->second);
    const bool better = !summary.has_best_evaluation() || last.value() > summary.best_evaluation().value();
    if (better) *summary.mutable_best_evaluation() = last;
    *summary.mutable_last_evaluation() = std::move(last);
  }
}

}  // namespace

Job ViewOf(const JobRecord& record, const Soft& soft) {
  Job job = ApiJobFrom(record.job());
  LayOver(record, soft, job);
  const auto found = soft.jobs.find(job.id());
  if (found == soft.jobs.end()) return job;
  if (found->second.attempt != 0) *job.mutable_progress() = found->second.progress;
  if (!record.has_running()) return job;
  for (muster::v1::AttemptInfo& info : *job.mutable_attempts()) {
    if (info.number() != record.running().number() || info.number() != found->second.attempt) continue;
    info.set_last_step(std::max<uint64_t>(info.from_step(), found->second.progress.step()));
  }
  return job;
}

muster::v1::JobSummary SummaryOf(const JobRecord& record, const Soft& soft) {
  const journal::v1::StoredJob& job = record.job();
  muster::v1::JobSummary summary;
  summary.set_id(job.id());
  summary.set_name(job.spec().name());
  summary.set_phase(job.phase());
  summary.set_reason(job.reason());
  summary.set_reason_code(job.reason_code());
  LayOver(record, soft, summary);
  summary.set_owner(job.owner());
  summary.set_queue(job.spec().resources().queue());
  summary.set_device(job.spec().resources().device());
  *summary.mutable_submitted() = job.submitted();
  if (job.has_ended()) *summary.mutable_ended() = job.ended();
  const auto found = soft.jobs.find(job.id());
  const bool reports = found != soft.jobs.end() && found->second.attempt != 0;
  const muster::v1::Progress& progress = reports ? found->second.progress : job.progress();
  summary.set_step(progress.step());
  summary.set_total_steps(progress.total_steps() != 0 ? progress.total_steps() : job.resolved().total_steps());
  summary.set_loss(progress.loss());
  if (record.has_running()) summary.set_eta_seconds(progress.eta_seconds());
  summary.set_slots(static_cast<uint32_t>(record.running().ranks_size()));
  AddEvaluations(job, summary);
  return summary;
}

muster::v1::StepMetrics StepMetricsOf(const muster::v1::Progress& progress, uint32_t attempt, absl::Time time) {
  muster::v1::StepMetrics point;
  point.set_step(progress.step());
  point.set_attempt(attempt);
  *point.mutable_time() = ToProto(time);
  point.set_epoch(progress.epoch());
  point.set_loss(progress.loss());
  point.set_learning_rate(progress.learning_rate());
  point.set_gradient_norm(progress.gradient_norm());
  point.set_queries_per_second(progress.queries_per_second());
  point.set_tokens_per_second(progress.tokens_per_second());
  double seconds = 0;
  for (const auto& [phase, spent] : progress.seconds()) seconds += spent;
  point.set_step_seconds(seconds);
  point.set_positive_entropy(progress.positive_entropy());
  *point.mutable_positive_weights() = progress.positive_weights();
  point.set_noise_weight(progress.noise_weight());
  point.set_mean_positive(progress.mean_positive());
  point.set_mean_negative(progress.mean_negative());
  point.set_padding_share(progress.padding_share());
  point.set_product_share(progress.product_share());
  point.set_peak_memory_bytes(progress.peak_memory_bytes());
  point.set_stage(progress.stage());
  return point;
}

Reason WaitingReason(const JobRecord& record, const Soft& soft) {
  const auto found = soft.jobs.find(record.job().id());
  if (found != soft.jobs.end() && !found->second.waiting.empty()) return found->second.waiting;
  return IsWaiting(record) ? soft.queue.ReasonOf(ShapeOf(record), PlaceOf(record)) : Reason();
}

absl::Status NoSuchJob(absl::string_view id) {
  return absl::NotFoundError(absl::StrCat("there is no job \"", id, "\". See muster jobs."));
}

absl::StatusOr<Job> ViewJob(const State& state, const Soft& soft, const std::string& id) {
  const JobRecord* record = FindJob(state, id);
  if (record == nullptr) return NoSuchJob(id);
  return ViewOf(*record, soft);
}

namespace {

Worker WorkerView(const State& state, const std::string& name, const SoftWorker& soft_worker, absl::Time now) {
  Worker worker;
  const muster::internal::v1::Hello& hello = soft_worker.hello;
  worker.set_name(name);
  worker.set_host(hello.host());
  worker.set_version(hello.version());
  worker.set_device(hello.device() == "gpu" ? muster::v1::DEVICE_GPU : muster::v1::DEVICE_CPU);
  worker.set_device_name(hello.device_name());
  worker.set_cores(hello.cores());
  worker.set_memory_bytes(hello.memory_bytes());
  *worker.mutable_last_heard() = ToProto(soft_worker.last_heard);
  for (uint32_t slot = 0; slot < hello.slots(); ++slot) worker.add_slots()->set_slot(slot);
  worker.set_state(muster::v1::WORKER_STATE_READY);
  const auto durable = state.workers.find(name);
  if (soft_worker.draining || (durable != state.workers.end() && durable->second.draining())) {
    worker.set_state(muster::v1::WORKER_STATE_DRAINING);
    worker.set_reason(soft_worker.draining ? "is stopping, and takes no new ranks" : "takes no new ranks");
    worker.set_reason_code(soft_worker.draining ? muster::v1::REASON_CODE_WORKER_STOPPING
                                                : muster::v1::REASON_CODE_WORKER_CORDONED);
  }
  if (soft_worker.silent) {
    worker.set_state(muster::v1::WORKER_STATE_SILENT);
    worker.set_reason(absl::StrCat("not heard for ", absl::ToInt64Seconds(now - soft_worker.last_heard), " s"));
    worker.set_reason_code(muster::v1::REASON_CODE_WORKER_SILENT);
  }
  const auto jobs = state.index.by_worker.find(name);
  if (jobs == state.index.by_worker.end()) return worker;
  for (const std::string& id : jobs->second) {
    const JobRecord& record = state.jobs.at(id);
    if (record.job().attempts().empty()) continue;
    const journal::v1::StoredAttempt& info = *record.job().attempts().rbegin();
    for (const muster::v1::RankPlacement& rank : info.ranks()) {
      if (rank.worker() != name || rank.slot() >= static_cast<uint32_t>(worker.slots_size())) continue;
      muster::v1::SlotInfo& slot = *worker.mutable_slots(static_cast<int>(rank.slot()));
      slot.set_job_id(id);
      slot.set_attempt(info.number());
      slot.set_rank(rank.rank());
    }
  }
  return worker;
}

}  // namespace

absl::StatusOr<Worker> ViewWorker(const State& state, const Soft& soft, const std::string& name, absl::Time now) {
  const auto worker = soft.workers.find(name);
  if (worker != soft.workers.end()) return WorkerView(state, name, worker->second, now);
  return absl::NotFoundError(absl::StrCat("there is no worker \"", name, "\". See muster workers."));
}

std::vector<Worker> ViewWorkers(const State& state, const Soft& soft, absl::Time now) {
  std::vector<Worker> workers;
  for (const auto& [name, worker] : soft.workers) workers.push_back(WorkerView(state, name, worker, now));
  return workers;
}

absl::StatusOr<muster::v1::ListWorkersResponse> PageOfWorkers(const State& state, const Soft& soft,
                                                              const muster::v1::ListWorkersRequest& request,
                                                              absl::Time now) {
  muster::v1::ListWorkersResponse response;
  absl::StatusOr<std::string> next = FillPage(request, soft.workers, [](const auto& entry) { return entry.first; },
                                              [&](const auto& entry) {
                                                Worker& worker = *response.add_workers();
                                                worker = WorkerView(state, entry.first, entry.second, now);
                                                return worker.ByteSizeLong();
                                              });
  if (!next.ok()) return next.status();
  response.set_next_page_token(*std::move(next));
  return response;
}

absl::StatusOr<muster::v1::ListQueuesResponse> PageOfQueues(const State& state,
                                                            const muster::v1::ListQueuesRequest& request) {
  muster::v1::ListQueuesResponse response;
  absl::StatusOr<std::string> next = FillPage(request, state.index.queues, [](const auto& entry) { return entry.first; },
                                              [&](const auto& entry) {
                                                muster::v1::QueueInfo& queue = *response.add_queues();
                                                queue.set_name(entry.first);
                                                queue.set_jobs_running(static_cast<uint32_t>(entry.second.running));
                                                queue.set_jobs_waiting(static_cast<uint32_t>(entry.second.waiting));
                                                queue.set_slots_used(static_cast<uint32_t>(entry.second.slots_used));
                                                return queue.ByteSizeLong();
                                              });
  if (!next.ok()) return next.status();
  response.set_next_page_token(*std::move(next));
  return response;
}

}  // namespace muster
