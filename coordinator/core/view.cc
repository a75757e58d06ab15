#include "coordinator/core/view.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobPhase;
using muster::v1::Worker;

constexpr uint32_t kDefaultPage = 100, kMaxPage = 1000;

Job Overlay(const JobRecord& record, const Soft& soft) {
  Job job = record.job();
  if (const std::string waiting = WaitingReason(record, soft); !waiting.empty()) {
    if (job.phase() == JobPhase::JOB_PHASE_QUEUED) job.set_reason(waiting);
    if (job.phase() == JobPhase::JOB_PHASE_RECOVERING) job.set_reason(absl::StrCat(job.reason(), "; ", waiting));
  }
  const auto found = soft.jobs.find(job.id());
  if (found == soft.jobs.end()) return job;
  if (found->second.attempt != 0) *job.mutable_progress() = found->second.progress;
  if (record.has_running()) {
    for (muster::v1::AttemptInfo& info : *job.mutable_attempts()) {
      if (info.number() != record.running().number() || info.number() != found->second.attempt) continue;
      info.set_last_step(std::max<uint64_t>(info.from_step(), found->second.progress.step()));
    }
    if (!found->second.standstill.empty()) job.set_reason(found->second.standstill);
  }
  return job;
}

}  // namespace

std::string WaitingReason(const JobRecord& record, const Soft& soft) {
  const auto found = soft.jobs.find(record.job().id());
  if (found != soft.jobs.end() && !found->second.waiting.empty()) return found->second.waiting;
  return IsWaiting(record) ? soft.queue.ReasonOf(ShapeOf(record), PlaceOf(record)) : "";
}

absl::StatusOr<Job> ViewJob(const State& state, const Soft& soft, const std::string& id) {
  const JobRecord* record = FindJob(state, id);
  if (record == nullptr) return absl::NotFoundError(absl::StrCat("there is no job \"", id, "\". See muster jobs."));
  return Overlay(*record, soft);
}

absl::StatusOr<muster::v1::ListJobsResponse> ViewJobs(const State& state, const Soft& soft,
                                                      const muster::v1::ListJobsRequest& request) {
  uint64_t before = UINT64_MAX;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &before)) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_token: \"", request.page_token(), "\" is not one that a list returned. Leave it empty."));
  }
  const size_t size = request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kMaxPage);
  const auto& places = request.active_only() ? state.index.active_by_sequence : state.index.by_sequence;
  muster::v1::ListJobsResponse response;
  auto place = std::make_reverse_iterator(places.lower_bound({before, ""}));
  for (; place != places.rend(); ++place) {
    if (response.jobs_size() == static_cast<int>(size)) {
      response.set_next_page_token(absl::StrCat(std::prev(place)->first));
      break;
    }
    *response.add_jobs() = Overlay(state.jobs.at(place->second), soft);
  }
  return response;
}

namespace {

Worker ViewOf(const State& state, const std::string& name, const SoftWorker& soft_worker, absl::Time now) {
  Worker worker;
  const muster::v1::Hello& hello = soft_worker.hello;
  worker.set_name(name);
  worker.set_host(hello.host());
  worker.set_version(hello.version());
  worker.set_device(hello.device());
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
  }
  if (soft_worker.silent) {
    worker.set_state(muster::v1::WORKER_STATE_SILENT);
    worker.set_reason(absl::StrCat("not heard for ", absl::ToInt64Seconds(now - soft_worker.last_heard), " s"));
  }
  const auto jobs = state.index.by_worker.find(name);
  if (jobs == state.index.by_worker.end()) return worker;
  for (const std::string& id : jobs->second) {
    const JobRecord& record = state.jobs.at(id);
    if (record.job().attempts().empty()) continue;
    const muster::v1::AttemptInfo& info = *record.job().attempts().rbegin();
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
  if (worker != soft.workers.end()) return ViewOf(state, name, worker->second, now);
  return absl::NotFoundError(absl::StrCat("there is no worker \"", name, "\". See muster workers."));
}

std::vector<Worker> ViewWorkers(const State& state, const Soft& soft, absl::Time now) {
  std::vector<Worker> workers;
  for (const auto& [name, worker] : soft.workers) workers.push_back(ViewOf(state, name, worker, now));
  return workers;
}

std::vector<muster::v1::QueueInfo> ViewQueues(const State& state) {
  std::vector<muster::v1::QueueInfo> result;
  for (const auto& [name, totals] : state.index.queues) {
    muster::v1::QueueInfo queue;
    queue.set_name(name);
    queue.set_jobs_running(static_cast<uint32_t>(totals.running));
    queue.set_jobs_waiting(static_cast<uint32_t>(totals.waiting));
    queue.set_slots_used(static_cast<uint32_t>(totals.slots_used));
    result.push_back(std::move(queue));
  }
  return result;
}

}  // namespace muster
