// Step's part that sees to it that agents hear what they are to run.
//
// A push is addressed to the session that its worker has when the core decides. It can be lost with that session only,
// and the next hello is answered with the whole desired state. Beside that, heartbeats are compared with what is desired:
// an agent that differs receives the desired state again, whatever the reason.
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

// What the worker runs of this attempt, or not, is not what the record asks for.
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

void Stepper::RepeatLostPushes() {
  std::set<std::string> diverging;
  for (const auto& [name, worker] : soft_.workers) {
    const bool undesired = std::any_of(worker.observed.begin(), worker.observed.end(), [&](const auto& observed) {
      const JobRecord* record = Job(observed.first.first);
      return record == nullptr || !Fence(*record, observed.first.second).ok() || !HasGrant(*record, name);
    });
    if (undesired) diverging.insert(name);
  }
  for (const std::string& id : state_.active) {
    const JobRecord& record = *Job(id);
    for (const journal::v1::Grant& grant : record.running().grants()) {
      const auto worker = soft_.workers.find(grant.worker());
      if (worker != soft_.workers.end() && GrantDiverges(record, grant, worker->second)) diverging.insert(grant.worker());
    }
  }
  for (const std::string& name : diverging) {
    const SoftWorker& worker = soft_.workers.at(name);
    if (worker.session != 0 && !worker.silent && now_ - worker.pushed >= kRepeatPush) {
      decision_.effects.push_back(PushDesired{.worker = name, .repeat = true});
    }
  }
}

}  // namespace muster
