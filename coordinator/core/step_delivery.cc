// The part of Step that makes sure that agents receive their desired state.
//
// A push is addressed to the session that its worker has when the core decides. It can only be lost together with that session,
// and the next hello is answered with the whole desired state. In addition, heartbeats are compared with the desired state: an
// agent that differs receives it again, whatever the reason.
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/core/step.h"
#include "coordinator/core/stepper.h"

namespace muster {
namespace {

using muster::v1::JobPhase;

// Whether the worker's ranks of this attempt differ from the record.
bool GrantDiverges(const JobRecord& record, const journal::v1::Grant& grant, const SoftWorker& worker) {
  if (!grant.prepared()) return true;
  const bool runs = worker.observed.contains({record.job().id(), record.running().number()});
  if (record.running().has_stop()) return runs;
  return record.job().phase() == JobPhase::JOB_PHASE_STARTING && !runs;
}

}  // namespace

bool Stepper::HasGrant(const JobRecord& job, const std::string& worker) {
  return std::any_of(job.running().grants().begin(), job.running().grants().end(),
                     [&](const journal::v1::Grant& grant) { return grant.worker() == worker; });
}

void Stepper::AddressPushes() {
  std::vector<Effect> addressed;
  for (Effect& effect : decision_.effects) {
    if (auto* push = std::get_if<PushDesired>(&effect)) {
      const auto worker = soft_.workers.find(push->worker);
      if (worker == soft_.workers.end() || worker->second.session == 0) continue;
      push->session = worker->second.session;
      worker->second.pushed = now_;
    }
    addressed.push_back(std::move(effect));
  }
  decision_.effects = std::move(addressed);
}

bool Stepper::IsDiverging(const std::string& name, const SoftWorker& worker) const {
  const bool undesired = std::any_of(worker.observed.begin(), worker.observed.end(), [&](const auto& observed) {
    const JobRecord* record = Job(observed.first.first);
    return record == nullptr || !Fence(*record, observed.first.second).ok() || !HasGrant(*record, name);
  });
  if (undesired) return true;
  const auto jobs = state_.index.by_worker.find(name);
  if (jobs == state_.index.by_worker.end()) return false;
  return std::any_of(jobs->second.begin(), jobs->second.end(), [&](const std::string& id) {
    const JobRecord& record = *Job(id);
    return std::any_of(record.running().grants().begin(), record.running().grants().end(),
                       [&](const journal::v1::Grant& grant) {
                         return grant.worker() == name && GrantDiverges(record, grant, worker);
                       });
  });
}

void Stepper::RepeatLostPushes() {
  for (auto name = soft_.suspects.begin(); name != soft_.suspects.end();) {
    const auto worker = soft_.workers.find(*name);
    if (worker == soft_.workers.end() || !IsDiverging(*name, worker->second)) {
      name = soft_.suspects.erase(name);
      continue;
    }
    if (worker->second.session != 0 && !worker->second.silent && now_ - worker->second.pushed >= kRepeatPush) {
      decision_.effects.push_back(PushDesired{.worker = *name, .repeat = true});
    }
    ++name;
  }
}

}  // namespace muster
