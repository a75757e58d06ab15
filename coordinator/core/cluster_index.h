// The free slots of the workers, updated incrementally, so that planning visits neither all workers nor all jobs.
//
// Code that changes what the slots of a worker depend on (its jobs, what it reports to run, its session) touches it; Refresh
// then recomputes it. Timers cover changes that happen without an event (a worker falls silent, or is no longer avoided). After
// Refresh the index equals what SnapshotOf computes from the state.
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
  uint32_t stopping = 0;       // of those, the ones that come free once ranks of ended attempts have stopped
  bool out = false;            // it drains or is silent: nobody can count on its slots
  std::string withheld_reason;  // "w2 silent", "w1 draining", "w1 stopping old ranks"
  bool operator==(const WorkerSlots&) const = default;
};

// The slots of workers with one protocol. All ranks of a gang use one protocol, because the same collective may differ between
// two versions.
struct Supply {
  uint32_t protocol = 0;
  uint32_t total = 0, free = 0, withheld = 0, stopping = 0;
  uint32_t widest = 0;     // most slots that workers of any one protocol have
  uint32_t usable = 0;     // the same without workers that drain or are silent: decides whether the job can run now
  uint32_t elsewhere = 0;  // free slots of workers of another protocol that could run the job too
  uint32_t older = 0;      // of workers that do not understand the job
  std::string withheld_reason;
};

// The slots of a group of workers: those of one kind of device and one protocol.
using WorkerGroup = std::pair<muster::v1::Device, uint32_t>;
struct GroupSupply {
  WorkerGroup group;
  uint32_t free = 0;
  uint32_t usable = 0;  // slots of workers that neither drain nor are silent, free or not
};

class ClusterIndex {
 public:
  void Touch(const std::string& worker) { touched_.insert(worker); }
  void Refresh(const State& state, const Soft& soft, absl::Time now);
  // The worker was heard: if its slots are counted as usable, they are for longer, and Refresh need not visit it.
  void NoteHeard(const std::string& worker, absl::Time now);
  void Put(WorkerSlots slots);
  // Workers whose slots the last Refresh computed.
  const std::set<std::string>& refreshed() const { return refreshed_; }

  // The supply of one protocol, at least `least`: the one with the most free slots, then with the most slots, then the newest.
  Supply SupplyOf(muster::v1::Device device, uint32_t least) const;
  // The groups that understand `least` and have free slots, in the order of SupplyOf's preference.
  std::vector<GroupSupply> GroupsWithFree(muster::v1::Device device, uint32_t least) const;
  uint32_t free(const WorkerGroup& group) const;
  // The fewest workers of one protocol: the smallest one that holds the whole gang, otherwise the largest ones first. The
  // slots are no longer free.
  std::vector<muster::v1::RankPlacement> Take(uint32_t count, muster::v1::Device device, uint32_t protocol);

  uint64_t free(muster::v1::Device device) const;
  const std::map<std::string, WorkerSlots>& workers() const { return workers_; }

 private:
  struct Group {
    uint32_t total = 0, usable = 0, free = 0, withheld = 0, stopping = 0, workers = 0;
    std::set<std::string> withholding;                  // workers with a reason
    std::map<size_t, std::set<std::string>> by_free;    // number of free slots → workers; none with 0
  };
  void Count(const WorkerSlots& slots, bool add);
  void Remove(const std::string& worker);

  std::map<std::string, WorkerSlots> workers_;
  std::map<WorkerGroup, Group> groups_;
  std::set<std::string> touched_;
  TimerSet due_;
  std::set<std::string> refreshed_;
};

}  // namespace muster
