// What is free on the workers now, kept as it changes: planning visits neither all workers nor all jobs.
//
// Code that changes what the slots of a worker depend on (its jobs, what it reports to run, its session) touches it; Refresh
// then recomputes it. What changes by time alone (a worker that is no longer heard, one that is no longer avoided) has
// timers. After Refresh the index equals what SnapshotOf computes from the state.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/state.h"
#include "coordinator/core/timer_set.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct Soft;

struct WorkerSlots {
  std::string name;
  muster::v1::Device device = muster::v1::DEVICE_CPU;
  uint32_t total = 0;
  uint32_t protocol = 0;       // what its agent understands (common/version.h)
  std::vector<uint32_t> free;  // ascending
  uint32_t withheld = 0;       // neither free nor used by a running attempt
  std::string withheld_reason;  // "w2 silent", "w1 draining", "w1 stopping old ranks"
  bool operator==(const WorkerSlots&) const = default;
};

// The slots of workers with one protocol. All ranks of a gang use one protocol, because two versions may mean different
// things by one collective.
struct Supply {
  uint32_t protocol = 0;
  uint32_t total = 0, free = 0, withheld = 0;
  uint32_t widest = 0;     // most slots that workers of any one protocol have: whether the job can ever run
  uint32_t elsewhere = 0;  // free slots of workers of another protocol that could run the job too
  uint32_t older = 0;      // of workers that do not understand the job
  std::string withheld_reason;
};

class ClusterIndex {
 public:
  void Touch(const std::string& worker) { touched_.insert(worker); }
  void Refresh(const State& state, const Soft& soft, absl::Time now);
  void Put(WorkerSlots slots);
  // Workers whose slots the last Refresh computed.
  size_t refreshed() const { return refreshed_; }

  // For one protocol that understands `least`: the one with the most free slots, then with the most slots, then the newest.
  Supply SupplyOf(muster::v1::Device device, uint32_t least) const;
  // The fewest workers of one protocol: the smallest one that holds the whole gang, otherwise the largest ones first. The
  // slots are no longer free.
  std::vector<muster::v1::RankPlacement> Take(uint32_t count, muster::v1::Device device, uint32_t protocol);

  uint64_t free(muster::v1::Device device) const;
  const std::map<std::string, WorkerSlots>& workers() const { return workers_; }

 private:
  using GroupKey = std::pair<muster::v1::Device, uint32_t>;  // protocol
  struct Group {
    uint32_t total = 0, free = 0, withheld = 0, workers = 0;
    std::set<std::string> withholding;                  // workers with a reason
    std::map<size_t, std::set<std::string>> by_free;    // number of free slots → workers; none with 0
  };
  void Count(const WorkerSlots& slots, bool add);
  void Remove(const std::string& worker);

  std::map<std::string, WorkerSlots> workers_;
  std::map<GroupKey, Group> groups_;
  std::set<std::string> touched_;
  TimerSet due_;
  size_t refreshed_ = 0;
};

}  // namespace muster
