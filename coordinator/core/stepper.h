// One call of Step(), cut into one method per event. Private to coordinator/core.
#pragma once

#include <map>
#include <set>
#include <string>

#include "coordinator/core/event.h"
#include "coordinator/core/job_machine.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

// A standstill is shown to users once it has lasted this fraction of the limit.
inline constexpr int kShownAfter = 4;

class Stepper {
 public:
  Stepper(const State& state, Soft& soft, absl::Time now) : state_(state), soft_(soft), now_(now) {}

  // step.cc
  void On(const SubmitJob& event);
  void On(const JobCommand& event);
  void On(const DeleteJob& event);
  void On(const DrainWorker& event);
  void On(const BlobsCollected& event);
  void On(const DataServerSeen& event);
  void On(const RetireJobs& event);
  void On(const Overslept& event);
  void On(const Tick& event);
  void On(const Plan& event);
  // step_agents.cc
  void On(const AgentHello& event);
  void On(const AgentHeartbeat& event);
  void On(const AgentReport& event);
  void On(const AgentProgress& event);
  void TakeProgress(const JobRecord& job, const muster::internal::v1::ProgressReport& report);
  void On(const AgentGone& event);

  Decision Finish();

 private:
  // Whether the job's running attempt has ranks on the worker.
  static bool HasGrant(const JobRecord& job, const std::string& worker);
  // The job with the changes that this decision has made so far: one decision may change a job more than once.
  const JobRecord* Job(const std::string& id) const;
  // Adds a transition's record and effects to the decision.
  void Take(const JobRecord& before, Transition transition);
  // The ranks of an attempt that ended hold their slots until their agent says that they have stopped.
  void PresumeRunning(const JobRecord& job);
  // A rank has exited: its slot is free.
  void ForgetRank(SoftWorker& agent, const muster::internal::v1::Report& report);
  // Advance and Take. If Advance refuses, the event came too late and is dropped.
  void Drive(const std::string& id, const JobEvent& event);
  // Marks that this event changes the worker's slots or what it should run.
  void Touch(const std::string& worker);
  void TouchWorkersOf(const journal::v1::StoredAttempt& attempt);
  // Marks the workers and timers of a job that changes.
  void TouchJob(const JobRecord& before, const JobRecord& after);
  void HeardNow(const std::string& name, SoftWorker& worker);
  // The worker's agent, if this is its current session; any message ends its silence. Null: stale.
  SoftWorker* Heard(const std::string& worker, uint64_t session);
  // Ends every attempt that uses the worker and for which `lost` is true.
  template <typename Predicate>
  void LoseWorker(const std::string& worker, const std::string& reason, Predicate lost);
  // Adds `stale` to the effects, with the worker and the status as its detail.
  void Stale(CountStale stale, const absl::Status& status, const std::string& worker);
  // Whether every agent of the job's attempt is connected, and is able to make its ranks save and stop.
  bool AgentsCanSave(const JobRecord& job) const;
  // Makes the worker's jobs save, stop, and move elsewhere.
  void Evict(const std::string& worker);
  // Handles an agent's report of whether it is about to end.
  void NoteDraining(const std::string& name, SoftWorker& worker, bool draining);
  // Forgets a worker that has left properly: it drained, its agent has ended, and nothing waits for it. So it is not reported
  // as silent, and its slots do not count.
  void ForgetIfGone(const std::string& worker);
  // step_placement.cc: the input of plans, and jobs that grow. Updates the cluster's index, and the expected ends of attempts
  // on workers that changed.
  void RefreshCluster();
  // Which slots the job's running attempt will leave, and when.
  void NoteEnd(const std::string& id);
  // An elastic job that has just stored a checkpoint starts again with more ranks, if slots are free that nobody waits for.
  void GrowAtCheckpoint(const std::string& id);
  // step_delivery.cc Gives every push its worker's session. Drops pushes to workers without one: their next hello is answered
  // with the desired state.
  void AddressPushes();
  // Sends the desired state again to agents whose heartbeats differ from it.
  void RepeatLostPushes();
  bool IsDiverging(const std::string& name, const SoftWorker& worker) const;
  void FindSilentWorkers();
  // Ends the worker's attempts, once, when it is found silent.
  void LoseSilentWorker(const std::string& name, absl::Duration age);
  void FindMissedDeadlines();
  // The next time to check the running attempt, if nothing changes until then.
  absl::Time NextDeadline(const JobRecord& record);
  // The attempt's no-progress timer (step_liveness.cc).
  void WatchProgress(const JobRecord& record);
  // Sets the text that says why the attempt makes no progress. At most every 10 s, since watchers print each change.
  void ShowStandstill(const std::string& id, SoftJob& soft, Reason reason);
  // Handles a rank's end that was caused by a lost server or a lagging peer. False: there is nothing more to do.
  bool TakeExitInOutage(const JobRecord& record, const muster::internal::v1::RankExited& exit);
  muster::internal::v1::RankExited WithLaggingPeer(const JobRecord& record,
                                                   muster::internal::v1::RankExited exit) const;
  // measure.cc: metrics.
  void Count(Measure measure, std::string label = "", double value = 1);
  void MeasureTransition(const JobRecord& before, const JobRecord& after);
  void MeasureProgress(const JobRecord& job, SoftJob& soft);
  void MeasureEpoch(const std::string& id, const muster::internal::v1::EpochClosed& closed);
  void MeasureGoodput();
  void UpdateGoodput(const std::string& id);

  const State& state_;
  Soft& soft_;
  const absl::Time now_;
  std::map<std::string, JobRecord> jobs_;  // changed by this decision
  Decision decision_;
};

template <typename Predicate>
void Stepper::LoseWorker(const std::string& worker, const std::string& reason, Predicate lost) {
  const auto jobs = state_.index.by_worker.find(worker);
  if (jobs == state_.index.by_worker.end()) return;
  for (const std::string& id : jobs->second) {
    const JobRecord* record = Job(id);
    bool has = false;
    for (const journal::v1::Grant& grant : record->running().grants()) {
      has = has || (grant.worker() == worker && lost(grant));
    }
    if (has) Drive(id, WorkerLost{worker, reason});
  }
}

}  // namespace muster
