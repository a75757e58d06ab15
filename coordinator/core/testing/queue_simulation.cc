#include "coordinator/core/testing/queue_simulation.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace muster {

absl::Duration SimulatedJob::RunTime(uint32_t ranks) const {
  return absl::Seconds(std::max<int64_t>(1, static_cast<int64_t>(std::ceil(slot_seconds / ranks))));
}

QueueSimulation::QueueSimulation(std::vector<WorkerSlots> workers, std::vector<SimulatedJob> jobs, bool backfill)
    : backfill_(backfill) {
  for (WorkerSlots& worker : workers) cluster_.Put(std::move(worker));
  std::sort(jobs.begin(), jobs.end(), [](const SimulatedJob& a, const SimulatedJob& b) { return a.arrival < b.arrival; });
  for (SimulatedJob& job : jobs) {
    sequences_[job.id] = sequences_.size() + 1;
    jobs_[job.id] = std::move(job);
  }
}

void QueueSimulation::Estimate() {
  for (const auto& [id, run] : running_) {
    const SimulatedJob& job = jobs_.at(id);
    if (!job.counted) continue;
    RunEnds::Attempt attempt{run.group, run.ranks, {}};
    if (job.known_running && now_ - run.start >= job.reports_after) {
      const absl::Duration left = run.end - now_;
      attempt.end = {run.end - job.earlier * left, run.end + job.later * left};
    }
    ends_.Set(id, attempt);
  }
}

void QueueSimulation::Start(const Placement& placement) {
  const SimulatedJob& job = jobs_.at(placement.job);
  SimulatedRun run{.job = placement.job, .start = now_, .ranks = static_cast<uint32_t>(placement.ranks.size())};
  run.end = now_ + job.RunTime(run.ranks);
  const WorkerSlots& worker = cluster_.workers().at(placement.ranks[0].worker());
  run.group = {worker.device, worker.protocol};
  run.ahead = !placement.started_ahead.empty();
  result_.ahead += run.ahead;
  result_.runs.push_back(run);
  result_.mean_wait += now_ - Begin() - job.arrival;
  running_[placement.job] = run;
  places_[placement.job] = placement.ranks;
  waiting_[job.shape].erase({job.priority, sequences_.at(job.id), job.id, job.max});
  if (waiting_[job.shape].empty()) waiting_.erase(job.shape);
}

void QueueSimulation::Free(const std::vector<muster::v1::RankPlacement>& ranks) {
  for (const muster::v1::RankPlacement& rank : ranks) {
    WorkerSlots worker = cluster_.workers().at(rank.worker());
    worker.free.push_back(rank.slot());
    std::sort(worker.free.begin(), worker.free.end());
    cluster_.Put(std::move(worker));
  }
}

void QueueSimulation::EndDue() {
  for (auto run = running_.begin(); run != running_.end();) {
    if (run->second.end > now_) {
      ++run;
      continue;
    }
    Free(places_.at(run->first));
    ends_.Erase(run->first);
    run = running_.erase(run);
  }
}

SimulationResult QueueSimulation::Run(const std::function<void(const Moment&)>& look) {
  std::set<std::pair<absl::Time, std::string>> arrivals;
  for (const auto& [id, job] : jobs_) arrivals.insert({Begin() + job.arrival, id});
  PlanInput input;
  input.waiting = &waiting_;
  input.is_held = [](const std::string&) { return false; };
  if (backfill_) input.ends = &ends_;
  input.longest_run = [this](const std::string& id, uint32_t slots) -> std::optional<absl::Duration> {
    const SimulatedJob& job = jobs_.at(id);
    if (!job.known_before) return std::nullopt;
    return job.RunTime(slots) * (1 + job.later);
  };
  while (true) {
    EndDue();
    for (; !arrivals.empty() && arrivals.begin()->first <= now_; arrivals.erase(arrivals.begin())) {
      const SimulatedJob& job = jobs_.at(arrivals.begin()->second);
      waiting_[job.shape].insert({job.priority, sequences_.at(job.id), job.id, job.max});
    }
    Estimate();
    input.now = now_;
    QueueView view;
    const std::vector<Placement> placements = PlanWaiting(input, cluster_, view);
    for (const Placement& placement : placements) Start(placement);
    if (look) look({now_, view, placements, running_, cluster_});
    // The next arrival or end, and moments between them, because the coordinator plans every second.
    absl::Time next = absl::InfiniteFuture();
    if (!arrivals.empty()) next = arrivals.begin()->first;
    for (const auto& [id, run] : running_) {
      next = std::min(next, run.end);
      if (run.start + jobs_.at(id).reports_after > now_) next = std::min(next, run.start + jobs_.at(id).reports_after);
    }
    if (next == absl::InfiniteFuture()) break;
    now_ = next;
  }
  for (const auto& [shape, places] : waiting_) {
    for (const QueuePlace& place : places) result_.stuck.push_back(place.id);
  }
  absl::Time last = Begin(), end = Begin();
  for (const SimulatedRun& run : result_.runs) {
    last = std::max(last, run.start);
    end = std::max(end, run.end);
  }
  result_.makespan = end - Begin();
  if (!result_.runs.empty()) result_.mean_wait /= static_cast<double>(result_.runs.size());
  uint64_t slots = 0;
  for (const auto& [name, worker] : cluster_.workers()) slots += worker.out ? 0 : worker.total;
  double within = 0;
  for (const SimulatedRun& run : result_.runs) {
    within += run.ranks * absl::ToDoubleSeconds(std::min(run.end, last) - run.start);
  }
  if (last > Begin() && slots > 0) result_.utilization = within / (static_cast<double>(slots) * absl::ToDoubleSeconds(last - Begin()));
  return std::move(result_);
}

}  // namespace muster
