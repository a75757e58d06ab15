#include "coordinator/core/view.h"

#include <algorithm>
#include <map>

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
  if (!found->second.waiting.empty()) {
    if (job.phase() == JobPhase::JOB_PHASE_QUEUED) job.set_reason(found->second.waiting);
    if (job.phase() == JobPhase::JOB_PHASE_RECOVERING) {
      job.set_reason(absl::StrCat(job.reason(), "; ", found->second.waiting));
    }
  }
  return job;
}

}  // namespace

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
  std::map<uint64_t, const JobRecord*, std::greater<>> found;
  for (const auto& [id, record] : state.jobs) {
    if (record.sequence() >= before || (request.active_only() && IsFinal(record.job().phase()))) continue;
    found[record.sequence()] = &record;
    if (found.size() > size + 1) found.erase(std::prev(found.end()));
  }
  muster::v1::ListJobsResponse response;
  for (const auto& [sequence, record] : found) {
    if (response.jobs_size() == static_cast<int>(size)) {
      response.set_next_page_token(absl::StrCat(FindJob(state, response.jobs().rbegin()->id())->sequence()));
      break;
    }
    *response.add_jobs() = Overlay(*record, soft);
  }
  return response;
}

absl::StatusOr<Worker> ViewWorker(const State& state, const Soft& soft, const std::string& name, absl::Time now) {
  for (Worker& worker : ViewWorkers(state, soft, now)) {
    if (worker.name() == name) return worker;
  }
  return absl::NotFoundError(absl::StrCat("there is no worker \"", name, "\". See muster workers."));
}

std::vector<Worker> ViewWorkers(const State& state, const Soft& soft, absl::Time now) {
  std::map<std::string, Worker> workers;
  for (const auto& [name, soft_worker] : soft.workers) {
    Worker& worker = workers[name];
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
  }
  for (const std::string& id : state.active) {
    const JobRecord& record = state.jobs.at(id);
    if (!record.has_running() || record.job().attempts().empty()) continue;
    const muster::v1::AttemptInfo& info = *record.job().attempts().rbegin();
    for (const muster::v1::RankPlacement& rank : info.ranks()) {
      const auto worker = workers.find(rank.worker());
      if (worker == workers.end() || rank.slot() >= worker->second.slots_size()) continue;
      muster::v1::SlotInfo& slot = *worker->second.mutable_slots(rank.slot());
      slot.set_job_id(id);
      slot.set_attempt(info.number());
      slot.set_rank(rank.rank());
    }
  }
  std::vector<Worker> result;
  for (auto& [name, worker] : workers) result.push_back(std::move(worker));
  return result;
}

std::vector<muster::v1::QueueInfo> ViewQueues(const State& state) {
  std::map<std::string, muster::v1::QueueInfo> queues;
  for (const std::string& id : state.active) {
    const JobRecord& record = state.jobs.at(id);
    muster::v1::QueueInfo& queue = queues[record.job().spec().resources().queue()];
    if (record.has_running()) {
      queue.set_jobs_running(queue.jobs_running() + 1);
      queue.set_slots_used(queue.slots_used() + static_cast<uint32_t>(record.running().ranks_size()));
    } else if (record.job().phase() != JobPhase::JOB_PHASE_PAUSED) {
      queue.set_jobs_waiting(queue.jobs_waiting() + 1);
    }
  }
  std::vector<muster::v1::QueueInfo> result;
  for (auto& [name, queue] : queues) {
    queue.set_name(name);
    result.push_back(std::move(queue));
  }
  return result;
}

}  // namespace muster
