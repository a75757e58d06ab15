// Gang placement: all ranks of a job at once, or none of them.
//
// Jobs are taken by priority (high first), then in the order of submission. A job with slots {min, max} gets max if
// that many are free, otherwise as many as are free, if at least min. A job that could run on this cluster but has to
// wait holds back those behind it on the same kind of device, so that small jobs cannot starve a large one; a job
// that is larger than the whole cluster holds back nobody. While a cluster is upgraded, a gang's workers are all of one
// protocol (common/version.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/cluster_index.h"
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
  uint32_t protocol = 0;      // the least that its workers must understand
};
using JobQueue = std::vector<QueuedJob>;  // in any order

struct Placement {
  std::string job;
  std::vector<muster::v1::RankPlacement> ranks;  // by rank
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

// The rule, for a snapshot and a queue that are computed from the state. The coordinator plans with PlanWaiting.
GangPlan PlanGangs(const ClusterSnapshot& cluster, const JobQueue& queue);

// Places what can be placed, and says in `view` why the others wait. Visits the jobs that it places, the first of each kind
// of device that it cannot place, and those that must wait before they are tried again. `cluster` is up to date before.
struct PlanInput {
  const WaitingJobs* waiting = nullptr;
  std::function<uint32_t(const std::string& id)> max_slots;  // of a waiting job
  std::function<bool(const std::string& id)> is_held;        // not to be placed yet
};
std::vector<Placement> PlanWaiting(const PlanInput& input, ClusterIndex& cluster, QueueView& view);

inline constexpr absl::Duration kFresh = absl::Seconds(7);  // two heartbeats and a little

// What is free now. Derived from the running attempts and from what agents say they run, never counted by hand: a
// slot is free when no attempt holds it and no rank of an older attempt is still seen on it.
WorkerSlots SlotsOf(const State& state, const std::string& name, const SoftWorker& worker, absl::Time now);
ClusterSnapshot SnapshotOf(const State& state, const Soft& soft, absl::Time now);

}  // namespace muster
