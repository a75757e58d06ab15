#include "coordinator/core/gang.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "coordinator/core/reservation.h"

namespace muster {
namespace {

using muster::v1::Device;
using muster::v1::RankPlacement;

std::string Slots(uint32_t count, Device device) {
  return absl::StrCat(count, device == muster::v1::DEVICE_GPU ? " GPU" : " slot", count == 1 ? "" : "s");
}

std::string ReasonToWait(const WaitingShape& shape, const Supply& supply) {
  std::string reason = absl::StrCat("needs ", Slots(shape.min, shape.device), ", ", supply.free, " free");
  if (supply.withheld > 0) absl::StrAppend(&reason, ", ", supply.withheld, " withheld (", supply.withheld_reason, ")");
  if (supply.elsewhere > 0) {
    absl::StrAppend(&reason, ", ", supply.elsewhere, " more on workers of another version (all ranks of a job need the same one)");
  }
  if (supply.older > 0) {
    absl::StrAppend(&reason, ", ", supply.older, " on workers of an older version, which cannot run this job");
  }
  if (supply.usable < shape.min) {
    const absl::string_view workers = supply.widest >= shape.min ? "workers that take ranks have "
                                      : supply.older > 0         ? "others have "
                                                                 : "connected workers have ";
    absl::StrAppend(&reason, ": the ", workers, supply.widest >= shape.min ? supply.usable : supply.widest, " in all");
  }
  return reason;
}

std::string ReasonToSettle(const WaitingShape& shape, const Supply& supply) {
  return absl::StrCat("waits some seconds for more than ", Slots(supply.free, shape.device), ": ", supply.stopping,
                      supply.stopping == 1 ? " comes" : " come", " free (", supply.withheld_reason, ")");
}

// Places jobs that are behind a waiting one, on its kind of device.
class Backfill {
 public:
  Backfill(const PlanInput& input, const WaitingShape& shape, const QueuePlace& place)
      : input_(input), shape_(shape), id_(place.id), max_(std::max(shape.min, place.max_slots)) {}

  // Whether the plan may look at one more job.
  bool Look() { return ++looks_ <= kMostBackfillLooks; }

  // Places the job if that cannot delay the one that waits.
  std::optional<Placement> Place(const WaitingShape& shape, const QueuePlace& place, ClusterIndex& cluster) {
    const std::string& id = place.id;
    const uint32_t most = std::max(shape.min, place.max_slots);
    std::string why = "which may need them at any moment";
    for (const GroupSupply& supply : cluster.GroupsWithFree(shape.device, shape.protocol)) {
      if (supply.free < shape.min) continue;
      const uint32_t want = std::min(most, supply.free);
      if (supply.group.second < shape_.protocol) {  // the reserved job cannot use this protocol
        return Start(id, cluster.Take(want, shape.device, supply.group.second), ", which cannot run on these workers");
      }
      Reservation& reserved = On(supply);
      if (reserved.spare() < want && reserved.earliest() > input_.now) {
        const std::optional<absl::Duration> run = input_.longest_run(id, want);
        if (run.has_value() && input_.now + *run <= reserved.earliest()) {
          return Start(id, cluster.Take(want, shape.device, supply.group.second), ": it ends before that one can start");
        }
        why = run.has_value() ? "and this one may still run when they are needed" : "and nobody knows how long this one runs";
      }
      const uint32_t count = std::min(want, reserved.spare());
      if (count < shape.min) continue;
      reserved.Take(count);
      return Start(id, cluster.Take(count, shape.device, supply.group.second), ", which does not need these slots");
    }
    refused_[id] = {muster::v1::REASON_CODE_WAITING_FOR_TURN,
                    absl::StrCat("waits for its turn behind job ", id_, ": the free slots are reserved for that job, ", why)};
    return std::nullopt;
  }

  // Updates the reasons, now that other jobs are placed.
  void Finish(const ClusterIndex& cluster, QueueView& view) const {
    const Supply supply = cluster.SupplyOf(shape_.device, shape_.protocol);
    if (supply.free < shape_.min) view.heads.at(shape_.device).reason.text = ReasonToWait(shape_, supply);
    if (cluster.free(shape_.device) > 0) view.refused.insert(refused_.begin(), refused_.end());
  }

 private:
  Reservation& On(const GroupSupply& supply) {
    const auto known = reserved_.find(supply.group);
    if (known != reserved_.end()) return known->second;
    return reserved_.emplace(supply.group, Reservation(shape_.min, max_, supply, *input_.ends, input_.now)).first->second;
  }
  Placement Start(const std::string& id, std::vector<RankPlacement> ranks, absl::string_view why) const {
    return {id, std::move(ranks), absl::StrCat("started ahead of job ", id_, why)};
  }

  const PlanInput& input_;
  const WaitingShape shape_;
  const std::string id_;
  const uint32_t max_;
  int looks_ = 0;
  std::map<WorkerGroup, Reservation> reserved_;
  std::map<std::string, Reason> refused_;
};

// Walks over the waiting jobs of all shapes in the order of the queue. Skips all jobs of excluded shapes at once.
class QueueWalk {
 public:
  explicit QueueWalk(const WaitingJobs& waiting) {
    for (const auto& [shape, places] : waiting) heads_.push_back({&shape, places.begin(), places.end()});
  }
  // False: no job is left. Otherwise the iterator is at the first unvisited job, until Next or Skip.
  bool Find() {
    first_ = nullptr;
    for (Head& head : heads_) {
      if (head.next != head.end && (first_ == nullptr || *head.next < *first_->next)) first_ = &head;
    }
    return first_ != nullptr;
  }
  const WaitingShape& shape() const { return *first_->shape; }
  const QueuePlace& place() const { return *first_->next; }
  void Next() { ++first_->next; }
  void SkipShape() { first_->next = first_->end; }
  void SkipDevice() {
    const Device device = first_->shape->device;
    for (Head& head : heads_) {
      if (head.shape->device == device) head.next = head.end;
    }
  }

 private:
  struct Head {
    const WaitingShape* shape;
    QueuePlaces::const_iterator next, end;
  };
  std::vector<Head> heads_;
  Head* first_ = nullptr;
};

}  // namespace

bool Placement::operator==(const Placement& other) const {
  if (job != other.job || ranks.size() != other.ranks.size()) return false;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i].worker() != other.ranks[i].worker() || ranks[i].slot() != other.ranks[i].slot()) return false;
  }
  return true;
}

std::vector<Placement> PlanWaiting(const PlanInput& input, ClusterIndex& cluster, QueueView& view) {
  view = {};
  std::vector<Placement> placements;
  std::map<Device, Backfill> behind;
  QueueWalk walk(*input.waiting);
  while (walk.Find()) {
    const WaitingShape shape = walk.shape();
    const QueuePlace& place = walk.place();
    const auto backfill = behind.find(shape.device);
    if (backfill != behind.end() && (cluster.free(shape.device) == 0 || !backfill->second.Look())) {
      walk.SkipDevice();
      continue;
    }
    ++view.visited;
    if (input.is_held(place.id)) {
      view.held.insert(place.id);
      walk.Next();
      continue;
    }
    const Supply supply = cluster.SupplyOf(shape.device, shape.protocol);
    if (backfill != behind.end()) {
      if (supply.free < shape.min) {
        walk.SkipShape();
        continue;
      }
      if (auto placement = backfill->second.Place(shape, place, cluster)) placements.push_back(*std::move(placement));
      walk.Next();
      continue;
    }
    const uint32_t most = std::max(shape.min, place.max_slots);
    const bool more_to_come = supply.free < most && supply.stopping > 0 && input.settles && input.settles(place.id);
    if (supply.free >= shape.min && !more_to_come) {
      placements.push_back({place.id, cluster.Take(std::min(most, supply.free), shape.device, supply.protocol), ""});
      walk.Next();
    } else if (supply.usable < shape.min) {  // too wide for the workers that can take ranks: reserves nothing
      view.too_wide[shape] = {supply.widest < shape.min ? muster::v1::REASON_CODE_TOO_LARGE
                                                        : muster::v1::REASON_CODE_WAITING_FOR_SLOTS,
                              ReasonToWait(shape, supply)};
      walk.SkipShape();
    } else {
      const std::string reason = supply.free < shape.min ? ReasonToWait(shape, supply)
                                                         : ReasonToSettle(shape, supply);
      view.heads[shape.device] = {place, {muster::v1::REASON_CODE_WAITING_FOR_SLOTS, reason}};
      if (input.ends == nullptr || cluster.free(shape.device) == 0) {
        walk.SkipDevice();
        continue;
      }
      behind.emplace(shape.device, Backfill(input, shape, place));
      walk.Next();
    }
  }
  for (const auto& [device, backfill] : behind) backfill.Finish(cluster, view);
  return placements;
}

Reason QueueView::ReasonOf(const WaitingShape& shape, const QueuePlace& place) const {
  if (held.contains(place.id)) return {};
  if (const auto looked = refused.find(place.id); looked != refused.end()) return looked->second;
  const auto head = heads.find(shape.device);
  if (head != heads.end()) {
    if (head->second.place.id == place.id) return head->second.reason;
    if (head->second.place < place) {
      return {muster::v1::REASON_CODE_WAITING_FOR_TURN,
              absl::StrCat("waits for its turn behind job ", head->second.place.id)};
    }
  }
  const auto wide = too_wide.find(shape);
  return wide == too_wide.end() ? Reason() : wide->second;
}

GangPlan PlanGangs(const ClusterSnapshot& cluster, const JobQueue& queue) {
  ClusterIndex index;
  for (const WorkerSlots& worker : cluster.workers) index.Put(worker);
  const RunEnds ends;  // no estimates for running attempts
  WaitingJobs waiting;
  std::map<QueuePlace, WaitingShape> order;
  for (const QueuedJob& job : queue) {
    const WaitingShape shape = {job.device, job.min, job.protocol};
    const QueuePlace place = {job.priority, job.sequence, job.id, job.max};
    waiting[shape].insert(place);
    order[place] = shape;
  }
  PlanInput input;
  input.waiting = &waiting;
  input.is_held = [](const std::string&) { return false; };
  input.ends = &ends;
  input.longest_run = [](const std::string&, uint32_t) { return std::nullopt; };
  GangPlan plan;
  QueueView view;
  plan.placements = PlanWaiting(input, index, view);
  std::set<std::string> placed;
  for (const Placement& placement : plan.placements) placed.insert(placement.job);
  for (const auto& [place, shape] : order) {
    if (!placed.contains(place.id)) plan.waiting.push_back({place.id, view.ReasonOf(shape, place).text});
  }
  return plan;
}

WorkerSlots SlotsOf(const State& state, const std::string& name, const SoftWorker& worker, absl::Time now) {
  std::set<uint32_t> used, stopping;
  if (const auto jobs = state.index.by_worker.find(name); jobs != state.index.by_worker.end()) {
    for (const std::string& id : jobs->second) {
      const JobRecord& record = state.jobs.at(id);
      if (record.job().attempts().empty()) continue;
      for (const RankPlacement& rank : record.job().attempts().rbegin()->ranks()) {
        if (rank.worker() == name) used.insert(rank.slot());
      }
    }
  }
  for (const auto& [attempt, ranks] : worker.observed) {
    const JobRecord* record = FindJob(state, attempt.first);
    if (record == nullptr || (record->has_running() && record->running().number() == attempt.second)) continue;
    for (const journal::v1::StoredAttempt& info : record->job().attempts()) {
      if (info.number() != attempt.second) continue;
      for (const RankPlacement& rank : info.ranks()) {
        if (rank.worker() == name && ranks.contains(rank.rank())) stopping.insert(rank.slot());
      }
    }
  }
  WorkerSlots slots;
  slots.name = name;
  slots.device = worker.hello.device() == "gpu" ? muster::v1::DEVICE_GPU : muster::v1::DEVICE_CPU;
  slots.total = worker.hello.slots();
  slots.protocol = worker.hello.protocol();
  const auto durable = state.workers.find(name);
  const bool drains = worker.draining || (durable != state.workers.end() && durable->second.draining());
  slots.out = worker.silent || drains;
  if (worker.silent) {
    slots.withheld_reason = absl::StrCat(name, " silent");
  } else if (drains) {
    slots.withheld_reason = absl::StrCat(name, " draining");
  } else if (worker.session == 0 || now - worker.last_heard > kFresh) {
    slots.withheld_reason = absl::StrCat(name, " not heard for ", absl::ToInt64Seconds(now - worker.last_heard), " s");
  } else if (now < worker.avoided_until) {
    slots.withheld_reason = absl::StrCat(name, " refused a reservation");
  }
  const bool whole = !slots.withheld_reason.empty();
  for (uint32_t slot = 0; slot < slots.total; ++slot) {
    if (used.contains(slot)) continue;
    if (whole || stopping.contains(slot)) {
      ++slots.withheld;
      slots.stopping += !whole;
    } else {
      slots.free.push_back(slot);
    }
  }
  if (!whole && !stopping.empty()) slots.withheld_reason = absl::StrCat(name, " stopping old ranks");
  return slots;
}

ClusterSnapshot SnapshotOf(const State& state, const Soft& soft, absl::Time now) {
  ClusterSnapshot snapshot;
  for (const auto& [name, worker] : soft.workers) snapshot.workers.push_back(SlotsOf(state, name, worker, now));
  return snapshot;
}

}  // namespace muster
