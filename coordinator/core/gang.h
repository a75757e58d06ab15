// Gang placement: all ranks of a job at once, or none of them.
//
// Jobs are taken by priority (high first), then in the order of submission. A job with slots {min, max} gets max if
// that many are free, otherwise as many as are free, if at least min. For each kind of device, slots that come free are
// reserved for the first job that has to wait, so that small jobs cannot starve a large one. Jobs behind it may start before it
// only if that neither delays it nor leaves it fewer ranks (backfill; reservation.h has the rule). A job that needs more slots
// than all workers have, without those that drain or are silent, reserves none. While a cluster is upgraded, a gang's workers
// are all of one protocol (common/version.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/cluster_index.h"
#include "coordinator/core/run_ends.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct ClusterSnapshot {
  std::vector<WorkerSlots> workers;  // by name
};

struct QueuedJob {
  std::string id;
  int32_t priority = 0;
  uint64_t sequence = 0;
  muster::v1::Device device = muster::v1::DEVICE_CPU;
  uint32_t min = 1, max = 1;  // slots
  uint32_t protocol = 0;      // the lowest protocol that its workers must understand
};
using JobQueue = std::vector<QueuedJob>;  // in any order

struct Placement {
  std::string job;
  std::vector<muster::v1::RankPlacement> ranks;  // by rank
  std::string started_ahead;  // "job b, which …", with the reason; empty: it was not started ahead of a waiting job
  bool operator==(const Placement& other) const;
};
struct Waiting {
  std::string job;
  std::string reason;
  bool operator==(const Waiting&) const = default;
};
struct GangPlan {
  std::vector<Placement> placements;
  std::vector<Waiting> waiting;
};

// The rule for a given snapshot and queue; a reference for tests. The coordinator plans with PlanWaiting.
GangPlan PlanGangs(const ClusterSnapshot& cluster, const JobQueue& queue);

// How many jobs behind the first waiting one a plan looks at, per kind of device, while slots are free.
inline constexpr int kMostBackfillLooks = 100;

struct PlanInput {
  const WaitingJobs* waiting = nullptr;
  std::function<bool(const std::string& id)> is_held;  // not to be placed yet
  // Whether an attempt of the job has just ended, so that it waits until the ranks on its old slots have stopped.
  std::function<bool(const std::string& id)> settles;        // empty: false for all jobs

  // For backfill. Null: no job starts before one that waits ahead of it.
  const RunEnds* ends = nullptr;
  std::function<std::optional<absl::Duration>(const std::string& id, uint32_t slots)> longest_run;  // nothing: unknown
  absl::Time now;
};
// Places the jobs that can be placed, and writes to `view` why the others wait. Visits the jobs that it places, the first of
// each kind of device that it cannot place, at most kMostBackfillLooks behind it, and those that must wait before they are
// tried again. `cluster` must be up to date.
std::vector<Placement> PlanWaiting(const PlanInput& input, ClusterIndex& cluster, QueueView& view);

inline constexpr absl::Duration kFresh = absl::Seconds(7);  // two heartbeats and some slack

// The free slots. Always derived from the running attempts and from the agents' reports, never counted up and down: a slot is
// free when no attempt holds it and no rank of an older attempt is reported on it.
WorkerSlots SlotsOf(const State& state, const std::string& name, const SoftWorker& worker, absl::Time now);
ClusterSnapshot SnapshotOf(const State& state, const Soft& soft, absl::Time now);

}  // namespace muster
