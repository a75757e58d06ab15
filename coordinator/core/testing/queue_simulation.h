// Runs a queue of jobs on a cluster through PlanWaiting, in simulated time. Used by the tests of its laws and by the benchmark
// of utilization. Jobs run for as long as their work takes on their ranks; the planner sees only estimates.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/run_ends.h"

namespace muster {

struct SimulatedJob {
  std::string id;
  absl::Duration arrival;  // since the start of the simulation
  int32_t priority = 0;
  WaitingShape shape;
  uint32_t max = 1;
  double slot_seconds = 0;  // work: with k ranks it takes 1/k of this, in whole seconds
  // What is known of its run time, before it runs and while it runs. An estimate is off by no more than its slack, as a
  // share of the time that is left; progress comes `reports_after` the start.
  bool known_before = false, known_running = false;
  bool counted = true;      // false: its slots are used, and the index of attempts does not have it (as after a restart)
  double earlier = 0, later = 0;
  absl::Duration reports_after;

  absl::Duration RunTime(uint32_t ranks) const;
};

struct SimulatedRun {
  std::string job;
  absl::Time start, end;
  uint32_t ranks = 0;
  WorkerGroup group;
  bool ahead = false;  // it started ahead of a job that waited
};

struct SimulationResult {
  std::vector<SimulatedRun> runs;   // in the order of their starts
  std::vector<std::string> stuck;   // jobs that never started
  double utilization = 0;           // slot-seconds used, of all from the first arrival to the last start
  absl::Duration mean_wait, makespan;
  uint64_t ahead = 0;
};

class QueueSimulation {
 public:
  // `backfill`: whether later jobs may start ahead of one that waits.
  QueueSimulation(std::vector<WorkerSlots> workers, std::vector<SimulatedJob> jobs, bool backfill);

  // Passed to the caller after each plan.
  struct Moment {
    absl::Time now;
    const QueueView& view;
    const std::vector<Placement>& placements;
    const std::map<std::string, SimulatedRun>& running;
    const ClusterIndex& cluster;
  };
  SimulationResult Run(const std::function<void(const Moment&)>& look = {});
  const SimulatedJob& job(const std::string& id) const { return jobs_.at(id); }

  static absl::Time Begin() { return absl::FromUnixSeconds(1'000'000); }

 private:
  void Estimate();
  void Start(const Placement& placement);
  void EndDue();
  void Free(const std::vector<muster::v1::RankPlacement>& ranks);

  const bool backfill_;
  std::map<std::string, SimulatedJob> jobs_;
  std::map<std::string, uint64_t> sequences_;
  ClusterIndex cluster_;
  RunEnds ends_;
  WaitingJobs waiting_;
  absl::Time now_ = Begin();
  std::map<std::string, SimulatedRun> running_;
  std::map<std::string, std::vector<muster::v1::RankPlacement>> places_;
  SimulationResult result_;
};

}  // namespace muster
