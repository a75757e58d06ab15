#include "coordinator/core/gang.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/spec/job_spec.h"
#include "coordinator/core/job_machine.h"

namespace muster {
namespace {

using muster::v1::Device;
using muster::v1::JobPhase;
using muster::v1::RankPlacement;

std::string Slots(uint32_t count, Device device) {
  return absl::StrCat(count, device == muster::v1::DEVICE_GPU ? " GPU" : " slot", count == 1 ? "" : "s");
}

// Of the workers of one protocol: the ranks of a gang speak one, since a collective of two versions may mean two things.
struct Supply {
  uint32_t protocol = 0;
  uint32_t total = 0, free = 0, withheld = 0;
  uint32_t widest = 0;     // most slots that workers of any one protocol have: whether the job can ever run
  uint32_t elsewhere = 0;  // free slots of workers of another protocol that could run the job too
  uint32_t older = 0;      // of workers that do not understand the job
  std::string withheld_reason;
};

// Of the protocol with the most free slots, then with the most slots, then the newest.
Supply SupplyOf(const std::vector<WorkerSlots>& workers, const QueuedJob& job) {
  std::map<uint32_t, Supply> by_protocol;
  uint32_t older = 0, free = 0;
  for (const WorkerSlots& worker : workers) {
    if (worker.device != job.device) continue;
    if (worker.protocol < job.protocol) {
      older += worker.total;
      continue;
    }
    Supply& supply = by_protocol[worker.protocol];
    supply.protocol = worker.protocol;
    supply.total += worker.total;
    supply.free += worker.free.size();
    supply.withheld += worker.withheld;
    if (supply.withheld_reason.empty()) supply.withheld_reason = worker.withheld_reason;
    free += worker.free.size();
  }
  Supply best;
  uint32_t widest = 0;
  for (const auto& [protocol, supply] : by_protocol) {
    widest = std::max(widest, supply.total);
    if (std::tie(supply.free, supply.total) >= std::tie(best.free, best.total)) best = supply;
  }
  best.widest = widest;
  best.elsewhere = free - best.free;
  best.older = older;
  return best;
}

// The fewest workers of one protocol: the smallest one that holds the whole gang, otherwise the largest ones first.
std::vector<RankPlacement> Take(uint32_t count, const QueuedJob& job, uint32_t protocol,
                                std::vector<WorkerSlots>& workers) {
  std::vector<WorkerSlots*> order;
  for (WorkerSlots& worker : workers) {
    if (worker.device == job.device && worker.protocol == protocol && !worker.free.empty()) order.push_back(&worker);
  }
  std::stable_sort(order.begin(), order.end(), [count](const WorkerSlots* a, const WorkerSlots* b) {
    const bool a_holds = a->free.size() >= count, b_holds = b->free.size() >= count;
    if (a_holds != b_holds) return a_holds;
    return a_holds ? a->free.size() < b->free.size() : a->free.size() > b->free.size();
  });
  std::vector<RankPlacement> ranks;
  for (WorkerSlots* worker : order) {
    while (!worker->free.empty() && ranks.size() < count) {
      RankPlacement placement;
      placement.set_rank(static_cast<uint32_t>(ranks.size()));
      placement.set_worker(worker->name);
      placement.set_slot(worker->free.front());
      worker->free.erase(worker->free.begin());
      ranks.push_back(std::move(placement));
    }
  }
  return ranks;
}

}  // namespace

bool Placement::operator==(const Placement& other) const {
  if (job != other.job || ranks.size() != other.ranks.size()) return false;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i].worker() != other.ranks[i].worker() || ranks[i].slot() != other.ranks[i].slot()) return false;
  }
  return true;
}

GangPlan PlanGangs(const ClusterSnapshot& cluster, const JobQueue& queue) {
  GangPlan plan;
  std::vector<WorkerSlots> workers = cluster.workers;
  JobQueue jobs = queue;
  std::sort(jobs.begin(), jobs.end(), [](const QueuedJob& a, const QueuedJob& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.sequence < b.sequence;
  });
  std::map<Device, std::string> held_back_by;
  for (const QueuedJob& job : jobs) {
    if (const auto first = held_back_by.find(job.device); first != held_back_by.end()) {
      plan.waiting.push_back({job.id, absl::StrCat("waits for its turn behind job ", first->second)});
      continue;
    }
    const Supply supply = SupplyOf(workers, job);
    if (supply.free >= job.min) {
      plan.placements.push_back({job.id, Take(std::min(job.max, supply.free), job, supply.protocol, workers)});
      continue;
    }
    std::string reason = absl::StrCat("needs ", Slots(job.min, job.device), ", ", supply.free, " free");
    if (supply.withheld > 0) absl::StrAppend(&reason, ", ", supply.withheld, " withheld (", supply.withheld_reason, ")");
    if (supply.elsewhere > 0) {
      absl::StrAppend(&reason, ", ", supply.elsewhere, " more on workers of another version (a job's ranks are of one)");
    }
    if (supply.older > 0) {
      absl::StrAppend(&reason, ", ", supply.older, " on workers of an older version, which cannot run this job");
    }
    if (supply.widest < job.min) {
      absl::StrAppend(&reason, supply.older > 0 ? ": the others have " : ": the connected workers have ", supply.widest,
                      " in all");
    } else {
      held_back_by[job.device] = job.id;
    }
    plan.waiting.push_back({job.id, std::move(reason)});
  }
  return plan;
}

ClusterSnapshot SnapshotOf(const State& state, const Soft& soft, absl::Time now) {
  std::map<std::string, std::set<uint32_t>> used;
  for (const std::string& id : state.active) {
    const JobRecord& record = state.jobs.at(id);
    if (!record.has_running() || record.job().attempts().empty()) continue;
    for (const RankPlacement& rank : record.job().attempts().rbegin()->ranks()) {
      used[rank.worker()].insert(rank.slot());
    }
  }
  ClusterSnapshot snapshot;
  for (const auto& [name, worker] : soft.workers) {
    WorkerSlots slots;
    slots.name = name;
    slots.device = worker.hello.device() == "gpu" ? muster::v1::DEVICE_GPU : muster::v1::DEVICE_CPU;
    slots.total = worker.hello.slots();
    slots.protocol = worker.hello.protocol();
    std::set<uint32_t> stopping;
    for (const auto& [attempt, ranks] : worker.observed) {
      const JobRecord* record = FindJob(state, attempt.first);
      if (record == nullptr || (record->has_running() && record->running().number() == attempt.second)) continue;
      for (const muster::v1::AttemptInfo& info : record->job().attempts()) {
        if (info.number() != attempt.second) continue;
        for (const RankPlacement& rank : info.ranks()) {
          if (rank.worker() == name && ranks.contains(rank.rank())) stopping.insert(rank.slot());
        }
      }
    }
    const auto durable = state.workers.find(name);
    if (worker.silent) {
      slots.withheld_reason = absl::StrCat(name, " silent");
    } else if (worker.draining || (durable != state.workers.end() && durable->second.draining())) {
      slots.withheld_reason = absl::StrCat(name, " draining");
    } else if (worker.session == 0 || now - worker.last_heard > kFresh) {
      slots.withheld_reason = absl::StrCat(name, " not heard for ", absl::ToInt64Seconds(now - worker.last_heard), " s");
    } else if (now < worker.avoided_until) {
      slots.withheld_reason = absl::StrCat(name, " refused a reservation");
    }
    const bool whole = !slots.withheld_reason.empty();
    for (uint32_t slot = 0; slot < slots.total; ++slot) {
      if (used[name].contains(slot)) continue;
      if (whole || stopping.contains(slot)) {
        ++slots.withheld;
      } else {
        slots.free.push_back(slot);
      }
    }
    if (!whole && !stopping.empty()) slots.withheld_reason = absl::StrCat(name, " stopping old ranks");
    snapshot.workers.push_back(std::move(slots));
  }
  return snapshot;
}

JobQueue QueueOf(const State& state, const Soft& soft, absl::Time now) {
  JobQueue queue;
  for (const std::string& id : state.active) {
    const JobRecord& record = state.jobs.at(id);
    if (record.job().phase() != JobPhase::JOB_PHASE_QUEUED && record.job().phase() != JobPhase::JOB_PHASE_RECOVERING) {
      continue;
    }
    if (WaitsToRetry(record, now)) continue;
    if (const auto job = soft.jobs.find(id); job != soft.jobs.end() && job->second.held) continue;
    const muster::v1::ResourcesSpec& resources = record.job().spec().resources();
    const uint32_t min = std::max<uint32_t>(1, resources.slots().min());
    queue.push_back({id, resources.priority(), record.sequence(), resources.device(), min,
                     std::max(min, resources.slots().max()), NeededProtocol(record.job().spec(), record.job().resolved())});
  }
  return queue;
}

}  // namespace muster
