// The part of Step that plans which jobs are placed, and which grow.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/run_time.h"
#include "coordinator/core/stepper.h"

namespace muster {
namespace {

// How long an elastic job whose attempt ended waits for slots on which old ranks are still stopping.
constexpr absl::Duration kSettleWithin = absl::Seconds(15);
// The time to save, stop and start again: growing must save more than this.
constexpr absl::Duration kRestart = absl::Seconds(30);

bool Settles(const JobRecord& record, absl::Time now) {
  if (record.job().phase() != muster::v1::JOB_PHASE_RECOVERING || !record.has_waiting_since()) return false;
  const absl::Duration waited = now - FromProto(record.waiting_since());
  return waited >= absl::ZeroDuration() && waited < kSettleWithin;  // less: the clock was set back
}

// Without workers that drain or whose agents are not connected: the job would lose those slots.
uint32_t SlotsToKeep(const journal::v1::StoredAttempt& attempt, const ClusterIndex& cluster) {
  return static_cast<uint32_t>(
      std::count_if(attempt.ranks().begin(), attempt.ranks().end(), [&](const muster::v1::RankPlacement& rank) {
        const auto worker = cluster.workers().find(rank.worker());
        return worker != cluster.workers().end() && !worker->second.out;
      }));
}

}  // namespace

void Stepper::NoteEnd(const std::string& id) {
  const JobRecord& record = *Job(id);
  if (!record.has_running() || record.job().attempts().empty()) return soft_.ends.Erase(id);
  const journal::v1::StoredAttempt& attempt = *record.job().attempts().rbegin();
  RunEnds::Attempt run;
  run.slots = SlotsToKeep(attempt, soft_.cluster);
  for (const journal::v1::Grant& grant : record.running().grants()) {
    const auto worker = soft_.cluster.workers().find(grant.worker());
    if (worker != soft_.cluster.workers().end()) run.group = {worker->second.device, worker->second.protocol};
  }
  const auto soft = soft_.jobs.find(id);
  run.end = EndOf(record, soft == soft_.jobs.end() ? nullptr : &soft->second, now_);
  soft_.ends.Set(id, run);
}

void Stepper::RefreshCluster() {
  soft_.cluster.Refresh(state_, soft_, now_);
  std::set<std::string> changed;
  for (const std::string& worker : soft_.cluster.refreshed()) {
    const auto jobs = state_.index.by_worker.find(worker);
    if (jobs != state_.index.by_worker.end()) changed.insert(jobs->second.begin(), jobs->second.end());
  }
  for (const std::string& id : changed) NoteEnd(id);
  if (soft_.ends.size() >= state_.index.running.size()) return;
  for (const auto& [id, attempt] : state_.index.running) NoteEnd(id);  // after a start
}

void Stepper::On(const Plan&) {
  RefreshCluster();
  PlanInput input;
  input.waiting = &state_.index.waiting;
  input.is_held = [this](const std::string& id) {  // reads no record of a job that may be placed
    if (state_.index.retrying.contains(id) && WaitsToRetry(state_.jobs.at(id), now_)) return true;
    const auto job = soft_.jobs.find(id);
    return job != soft_.jobs.end() && job->second.held;
  };
  input.settles = [this](const std::string& id) { return Settles(state_.jobs.at(id), now_); };
  input.ends = &soft_.ends;
  input.longest_run = [this](const std::string& id, uint32_t slots) {
    return LongestRun(state_, soft_, state_.jobs.at(id), slots);
  };
  input.now = now_;
  const QueueView before = std::exchange(soft_.queue, {});
  for (const Placement& placement : PlanWaiting(input, soft_.cluster, soft_.queue)) {
    Drive(placement.job, Placed{placement.ranks, placement.started_ahead});
    NoteEnd(placement.job);
    Count(Measure::kDecisions, placement.started_ahead.empty() ? "placed" : "backfilled");
  }
  decision_.replan = false;
  for (const auto& [device, head] : soft_.queue.heads) {
    const auto known = before.heads.find(device);
    if (known == before.heads.end() || known->second != head) Count(Measure::kDecisions, "waiting");
  }
  for (const auto& [shape, reason] : soft_.queue.too_wide) {
    const auto known = before.too_wide.find(shape);
    if (known == before.too_wide.end() || known->second != reason) Count(Measure::kDecisions, "waiting");
  }
  if (before.heads != soft_.queue.heads || before.too_wide != soft_.queue.too_wide ||
      before.refused != soft_.queue.refused) {
    decision_.effects.push_back(WaitingChanged{});
  }
}

void Stepper::GrowAtCheckpoint(const std::string& id) {
  const JobRecord& record = *Job(id);
  const muster::v1::ResourcesSpec& resources = record.job().spec().resources();
  const auto ranks = static_cast<uint32_t>(record.running().ranks_size());
  if (record.job().phase() != muster::v1::JOB_PHASE_TRAINING || record.running().has_stop()) return;
  if (ranks >= resources.slots().max() || record.job().attempts().empty() || record.running().grants().empty()) return;
  // Waiting jobs go first: free slots are reserved for them.
  if (soft_.queue.heads.contains(resources.device()) || !soft_.data_server.answers() || !AgentsCanSave(record)) return;
  if (CheckpointStep(record) >= record.job().resolved().total_steps()) return;  // it is about to end
  RefreshCluster();
  const auto worker = soft_.cluster.workers().find(record.running().grants(0).worker());
  if (worker == soft_.cluster.workers().end()) return;
  const uint32_t free = soft_.cluster.free(WorkerGroup{worker->second.device, worker->second.protocol});
  const uint32_t keeps = SlotsToKeep(*record.job().attempts().rbegin(), soft_.cluster);
  const uint32_t more = std::min(resources.slots().max(), keeps + free);
  if (free == 0 || more <= ranks) return;
  const SoftJob& soft = soft_.jobs[id];
  if (soft.attempt == record.running().number() && soft.progress.eta_seconds() > 0) {
    const absl::Duration left = absl::Seconds(soft.progress.eta_seconds());
    if (left * (1.0 - static_cast<double>(ranks) / more) < kRestart) return;
  }
  Drive(id, Grow{absl::StrCat("grows from ", ranks, " to ", more, " slots")});
}

}  // namespace muster
