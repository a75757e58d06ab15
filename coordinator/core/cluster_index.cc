#include "coordinator/core/cluster_index.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "coordinator/core/gang.h"
#include "coordinator/core/soft.h"

namespace muster {

using muster::v1::Device;
using muster::v1::RankPlacement;

namespace {

// When a worker that was last heard at `heard` is no longer fresh.
absl::Time StaleAt(absl::Time heard) { return heard + kFresh + absl::Nanoseconds(1); }

// The next time at which the result of SlotsOf for the worker changes without an event.
absl::Time ChangesAt(const SoftWorker& worker, const WorkerSlots& slots, absl::Time now) {
  if (worker.silent) return absl::InfiniteFuture();
  if (worker.session == 0 || now - worker.last_heard > kFresh) return now + absl::Seconds(1);  // its reason states the duration
  absl::Time time = StaleAt(worker.last_heard);
  if (now < worker.avoided_until) time = std::min(time, worker.avoided_until);
  return slots.total == 0 ? absl::InfiniteFuture() : time;
}

}  // namespace

void ClusterIndex::Refresh(const State& state, const Soft& soft, absl::Time now) {
  if (workers_.size() != soft.workers.size()) {  // a test filled it, or workers were forgotten
    for (const auto& [name, worker] : soft.workers) touched_.insert(name);
    for (const auto& [name, slots] : workers_) touched_.insert(name);
  }
  const std::set<std::string> due = due_.Due(now);
  touched_.insert(due.begin(), due.end());
  refreshed_ = std::exchange(touched_, {});
  for (const std::string& name : refreshed_) {
    const auto worker = soft.workers.find(name);
    if (worker == soft.workers.end()) {
      Remove(name);
      continue;
    }
    WorkerSlots slots = SlotsOf(state, name, worker->second, now);
    due_.Set(name, ChangesAt(worker->second, slots, now));
    Put(std::move(slots));
  }
}

void ClusterIndex::NoteHeard(const std::string& worker, absl::Time now) {
  const auto known = workers_.find(worker);
  if (known != workers_.end() && known->second.withheld_reason.empty()) due_.Set(worker, StaleAt(now));
}

void ClusterIndex::Put(WorkerSlots slots) {
  WorkerSlots& known = workers_[slots.name];
  if (!known.name.empty()) Count(known, false);
  known = std::move(slots);
  Count(known, true);
}

void ClusterIndex::Remove(const std::string& worker) {
  due_.Erase(worker);
  const auto known = workers_.find(worker);
  if (known == workers_.end()) return;
  Count(known->second, false);
  workers_.erase(known);
}

void ClusterIndex::Count(const WorkerSlots& slots, bool add) {
  const WorkerGroup key = {slots.device, slots.protocol};
  Group& group = groups_[key];
  const uint32_t one = add ? 1 : -1;
  group.workers += one;
  group.total += one * slots.total;
  group.free += one * static_cast<uint32_t>(slots.free.size());
  group.withheld += one * slots.withheld;
  group.stopping += one * slots.stopping;
  if (!slots.out) group.usable += one * slots.total;
  if (add) {
    if (!slots.withheld_reason.empty()) group.withholding.insert(slots.name);
    if (!slots.free.empty()) group.by_free[slots.free.size()].insert(slots.name);
    return;
  }
  group.withholding.erase(slots.name);
  const auto same = group.by_free.find(slots.free.size());
  if (same != group.by_free.end()) {
    same->second.erase(slots.name);
    if (same->second.empty()) group.by_free.erase(same);
  }
  if (group.workers == 0) groups_.erase(key);
}

Supply ClusterIndex::SupplyOf(Device device, uint32_t least) const {
  Supply best;
  uint32_t older = 0, free = 0, widest = 0, usable = 0;
  for (auto group = groups_.lower_bound({device, 0}); group != groups_.end() && group->first.first == device; ++group) {
    const auto& [key, counts] = *group;
    if (key.second < least) {
      older += counts.total;
      continue;
    }
    free += counts.free;
    widest = std::max(widest, counts.total);
    usable = std::max(usable, counts.usable);
    if (std::tie(counts.free, counts.total) < std::tie(best.free, best.total)) continue;
    best = {.protocol = key.second, .total = counts.total, .free = counts.free, .withheld = counts.withheld,
            .stopping = counts.stopping};
    if (!counts.withholding.empty()) best.withheld_reason = workers_.at(*counts.withholding.begin()).withheld_reason;
  }
  best.widest = widest;
  best.usable = usable;
  best.elsewhere = free - best.free;
  best.older = older;
  return best;
}

std::vector<GroupSupply> ClusterIndex::GroupsWithFree(Device device, uint32_t least) const {
  std::vector<GroupSupply> result;
  for (auto group = groups_.lower_bound({device, least}); group != groups_.end() && group->first.first == device; ++group) {
    if (group->second.free > 0) result.push_back({group->first, group->second.free, group->second.usable});
  }
  std::sort(result.begin(), result.end(), [&](const GroupSupply& a, const GroupSupply& b) {
    const Group &one = groups_.at(a.group), &other = groups_.at(b.group);
    return std::tie(one.free, one.total, a.group.second) > std::tie(other.free, other.total, b.group.second);
  });
  return result;
}

uint32_t ClusterIndex::free(const WorkerGroup& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? 0 : found->second.free;
}

std::vector<RankPlacement> ClusterIndex::Take(uint32_t count, Device device, uint32_t protocol) {
  std::vector<RankPlacement> ranks;
  while (ranks.size() < count) {
    const auto group = groups_.find({device, protocol});
    if (group == groups_.end() || group->second.by_free.empty()) break;
    auto& by_free = group->second.by_free;
    auto best = ranks.empty() ? by_free.lower_bound(count) : by_free.end();
    if (best == by_free.end()) best = std::prev(by_free.end());
    WorkerSlots slots = workers_.at(*best->second.begin());
    while (!slots.free.empty() && ranks.size() < count) {
      RankPlacement placement;
      placement.set_rank(static_cast<uint32_t>(ranks.size()));
      placement.set_worker(slots.name);
      placement.set_slot(slots.free.front());
      slots.free.erase(slots.free.begin());
      ranks.push_back(std::move(placement));
    }
    Put(std::move(slots));
  }
  return ranks;
}

uint64_t ClusterIndex::free(Device device) const {
  uint64_t free = 0;
  for (const auto& [key, group] : groups_) free += key.first == device ? group.free : 0;
  return free;
}

}  // namespace muster
