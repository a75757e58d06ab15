#include "coordinator/core/desired.h"

#include <set>

namespace muster {

muster::internal::v1::DesiredState DesiredStateOf(const State& state, const std::string& worker) {
  muster::internal::v1::DesiredState desired;
  desired.set_epoch(state.epoch);
  const auto jobs = state.index.by_worker.find(worker);
  if (jobs == state.index.by_worker.end()) return desired;
  for (const std::string& id : jobs->second) {
    const JobRecord& record = state.jobs.at(id);
    if (!record.has_running() || record.job().attempts().empty()) continue;
    const journal::v1::StoredAttempt& info = *record.job().attempts().rbegin();
    muster::internal::v1::Assignment assignment;
    for (const muster::v1::RankPlacement& rank : info.ranks()) {
      if (rank.worker() == worker) *assignment.add_ranks() = rank;
    }
    if (assignment.ranks().empty()) continue;
    assignment.set_job_id(id);
    assignment.set_attempt(info.number());
    assignment.set_phase(record.running().has_started() ? muster::internal::v1::ASSIGNMENT_PHASE_RUN
                                                        : muster::internal::v1::ASSIGNMENT_PHASE_PREPARE);
    assignment.set_save_and_stop(record.running().has_stop());
    assignment.set_world_size(static_cast<uint32_t>(info.ranks_size()));
    *assignment.mutable_spec() = record.job().spec();
    *assignment.mutable_resolved() = record.job().resolved();
    // The checkpoints with which the attempt began: those that it saves itself do not change its assignment.
    const auto& checkpoints = record.job().checkpoints();
    for (auto it = checkpoints.rbegin(); it != checkpoints.rend(); ++it) {
      if (it->attempt() < info.number()) *assignment.add_checkpoints() = *it;
    }
    *desired.add_assignments() = std::move(assignment);
  }
  return desired;
}

std::vector<std::string> WorkersOf(const State& state, const std::string& job_id, uint32_t attempt) {
  std::set<std::string> workers;
  const JobRecord* job = FindJob(state, job_id);
  if (job == nullptr) return {};
  for (const journal::v1::StoredAttempt& info : job->job().attempts()) {
    if (info.number() != attempt) continue;
    for (const muster::v1::RankPlacement& rank : info.ranks()) workers.insert(rank.worker());
  }
  return {workers.begin(), workers.end()};
}

}  // namespace muster
