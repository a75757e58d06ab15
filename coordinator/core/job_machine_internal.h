// The implementation of job_machine: applies one event to one job. job_machine_attempt.cc: an attempt's progress;
// job_machine_checkpoint.cc: its checkpoints; job_machine_stop.cc: its end, and requests to stop.
#pragma once

#include <string>
#include <utility>

#include "coordinator/core/job_machine.h"
#include "coordinator/core/reason.h"

namespace muster {

journal::v1::StoredAttempt* InfoOf(JobRecord& record, uint32_t number);  // null: no longer in the record

// A job without steps: it evaluates a model, and has nothing to save or export.
bool EvaluatesAlone(const JobRecord& record);

// "; the checkpoints of steps 40, 60 are damaged"; empty if none is.
std::string DamageNote(const JobRecord& record);

// Applies one event to one job.
class Machine {
 public:
  Machine(const JobRecord& job, absl::Time now) : now_(now) { result_.record = job; }

  absl::Status On(const Placed& event);
  absl::Status On(const WorkerPrepared& event);
  absl::Status On(const WorkerRefused& event);
  absl::Status On(const WorkerLost& event);
  absl::Status On(const SaveAndStop& event);
  absl::Status On(const Grow& event);
  absl::Status On(const StopOverdue& event);
  absl::Status On(const Stuck& event);
  absl::Status On(const ServerLost& event);
  absl::Status On(const UserCommand& event);
  absl::Status On(const muster::internal::v1::RankStarted& event);
  absl::Status On(const muster::internal::v1::RankExited& event);
  void KeepProgress(const muster::v1::Progress& progress);
  absl::Status On(const muster::internal::v1::CheckpointSaved& event);
  absl::Status On(const muster::internal::v1::CheckpointRefused& event);
  absl::Status On(const muster::v1::Evaluation& event);
  absl::Status On(const muster::internal::v1::Exported& event);
  absl::Status On(const muster::internal::v1::TraceSaved& event);

  void Amend(uint32_t attempt, const Reason& cause, bool permanent);
  void CountDisagreement() { result_.effects.push_back(Measured{Measure::kRankDisagreements, "", 1}); }

  Transition Finish() {
    if (result_.changed) record().mutable_job()->set_revision(record().job().revision() + 1);
    return std::move(result_);
  }

 private:
  JobRecord& record() { return result_.record; }
  journal::v1::StoredJob& job() { return *result_.record.mutable_job(); }
  muster::v1::JobPhase phase() const { return result_.record.job().phase(); }

  void MoveTo(muster::v1::JobPhase phase, Reason reason) {
    job().set_phase(phase);
    job().set_reason(std::move(reason.text));
    job().set_reason_code(reason.code);
    if (IsFinal(phase)) *job().mutable_ended() = ToProto(now_);
    if (phase == muster::v1::JobPhase::JOB_PHASE_QUEUED || phase == muster::v1::JobPhase::JOB_PHASE_RECOVERING) {
      *record().mutable_waiting_since() = ToProto(now_);
    }
    result_.changed = true;
  }

  // Takes the attempt off all its workers, with its reason.
  void EndAttempt(const Reason& reason, AttemptEnd end);
  void Fail(const Reason& cause, AttemptEnd end, bool permanent, bool pending);
  void GiveUpOrRecover(const Reason& cause);
  // The attempt `number` of a job that has checkpoints failed before it trained.
  void RetryStart(uint32_t number, const Reason& cause);
  // Moves the job to the phase that follows the failure that RetryStart counted last, with this cause.
  void TellStartFailure(const Reason& cause);
  // Releases the reservation: a worker refused it, was late, was lost or drains.
  absl::Status Release(const Reason& reason);

  // Whether ranks that are asked to save and stop have something to save, and will receive the request.
  bool CanSave(bool agents_can) const {
    return agents_can && phase() == muster::v1::JobPhase::JOB_PHASE_TRAINING && !EvaluatesAlone(result_.record);
  }
  void OrderStop(const Reason& reason, bool pause);
  void AddToStop(const Reason& more);
  // A rank ended without success while its attempt is asked to stop.
  void StopRankInOrder(const muster::internal::v1::RankExited& event);
  // `more`: why the stop was cut short; empty: all ranks stopped as requested.
  void FinishStop(const std::string& more);

  absl::Time now_;
  Transition result_;
};

}  // namespace muster
