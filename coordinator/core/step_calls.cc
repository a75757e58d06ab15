// The part of Step that answers users: submissions, commands, removals and drains.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "coordinator/core/model_source.h"
#include "coordinator/core/requests.h"
#include "coordinator/core/retention.h"
#include "coordinator/core/stepper.h"
#include "coordinator/core/submission.h"
#include "coordinator/core/view.h"

namespace muster {

using muster::v1::JobPhase;

namespace {

absl::Status CheckActiveJobs(const State& state, const SubmitJob& event) {
  if (event.max_active_jobs == 0) return absl::OkStatus();
  const auto found = state.index.active_of_owner.find(event.owner);
  const uint64_t own = found == state.index.active_of_owner.end() ? 0 : found->second;
  if (own < event.max_active_jobs) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(absl::StrCat("user ", event.owner, " has ", own, " unfinished jobs, ",
                                                              "which is the limit. Cancel one, or wait for one to end.")),
                    "TOO_MANY_JOBS");
}

}  // namespace

void Stepper::On(const SubmitJob& event) {
  const absl::StatusOr<const JobRecord*> known = FindSubmission(state_, event.owner, event.request_id, event.spec);
  if (!known.ok() || *known != nullptr) {
    decision_.effects.push_back(Reply{event.token, known.status(), known.ok() ? (*known)->job().id() : ""});
    return;
  }
  if (FindJob(state_, event.job_id) != nullptr) {
    decision_.effects.push_back(Reply{event.token, absl::AbortedError("the drawn job id is taken. Submit again."), ""});
    return;
  }
  if (const absl::Status status = CheckStillKept(state_, event.resolved); !status.ok()) {
    decision_.effects.push_back(Reply{event.token, status, ""});
    return;
  }
  if (const absl::Status status = CheckActiveJobs(state_, event); !status.ok()) {
    decision_.effects.push_back(Reply{event.token, status, ""});
    return;
  }
  JobRecord record;
  journal::v1::StoredJob& job = *record.mutable_job();
  job.set_id(event.job_id);
  *job.mutable_spec() = event.spec;
  *job.mutable_resolved() = event.resolved;
  job.set_owner(event.owner);
  *job.mutable_submitted() = ToProto(now_);
  job.set_phase(JobPhase::JOB_PHASE_QUEUED);
  job.set_reason("waits to be placed");
  job.set_reason_code(muster::v1::REASON_CODE_SUBMITTED);
  job.set_revision(1);
  record.set_sequence(state_.last_sequence + 1);
  record.set_submit_request(event.request_id);
  *record.mutable_waiting_since() = ToProto(now_);
  muster::v1::ResourcesSpec& resources = *job.mutable_spec()->mutable_resources();
  resources.set_device(DecidedDevice(state_, resources.device()));
  FillDefaults(*job.mutable_spec());
  decision_.effects.push_back(Reply{event.token, absl::OkStatus(), event.job_id});
  decision_.effects.push_back(JobChanged{event.job_id});
  decision_.replan = true;
  jobs_[event.job_id] = std::move(record);
}

void Stepper::On(const JobCommand& event) {
  const JobRecord* record = Job(event.job_id);
  if (record == nullptr) {
    decision_.effects.push_back(Reply{event.token, NoSuchJob(event.job_id), ""});
    return;
  }
  if (const absl::Status same = CheckSameSubject(state_, event); !same.ok()) {
    decision_.effects.push_back(Reply{event.token, same, ""});
    return;
  }
  const JobRecord before = *record;
  absl::StatusOr<Transition> transition =
      Advance(before, UserCommand{event.verb, event.user, event.request_id, AgentsCanSave(before)}, now_);
  if (transition.ok()) Take(before, *std::move(transition));
  decision_.effects.push_back(Reply{event.token, transition.status(), event.job_id});
}

void Stepper::On(const DeleteJob& event) {
  const std::string key = event.request_id.empty() ? "" : RequestKey(event);
  if (const std::string* done = soft_.deletions.Find(key); done != nullptr) {
    decision_.effects.push_back(Reply{event.token, CheckSameSubject(*done, event), event.job_id});
    return;
  }
  const JobRecord* record = Job(event.job_id);
  if (record == nullptr) {
    decision_.effects.push_back(Reply{event.token, NoSuchJob(event.job_id), ""});
    return;
  }
  if (!IsFinal(record->job().phase())) {
    decision_.effects.push_back(
        Reply{event.token,
              absl::FailedPreconditionError(absl::StrCat("job ", event.job_id, " is ", PhaseName(record->job().phase()),
                                                         ". Cancel it first: muster cancel ", event.job_id, ".")),
              ""});
    return;
  }
  for (const std::string& manifest : ManifestsOf(*record)) {
    Record unused;
    unused.mutable_garbage()->set_manifest(manifest);
    decision_.records.push_back(std::move(unused));
    decision_.effects.push_back(CollectBlobs{manifest});
  }
  for (const journal::v1::StoredAttempt& attempt : record->job().attempts()) TouchWorkersOf(attempt);
  Record removed;
  removed.mutable_removed()->set_id(event.job_id);
  decision_.records.push_back(std::move(removed));
  if (!key.empty()) soft_.deletions.Insert(key, event.job_id);
  decision_.effects.push_back(Reply{event.token, absl::OkStatus(), event.job_id});
}

void Stepper::On(const DrainWorker& event) {
  const auto known = state_.workers.find(event.worker);
  if (known == state_.workers.end()) {
    decision_.effects.push_back(
        Reply{event.token,
              absl::NotFoundError(absl::StrCat("there is no worker \"", event.worker, "\". See muster workers.")), ""});
    return;
  }
  if (const absl::Status same = CheckSameSubject(state_, event); !same.ok()) {
    decision_.effects.push_back(Reply{event.token, same, ""});
    return;
  }
  WorkerRecord record = known->second;
  const std::string key = RequestKey(event);
  const bool repeated = !event.request_id.empty() &&
                        std::find(record.requests().begin(), record.requests().end(), key) != record.requests().end();
  if (!repeated && (record.draining() == event.undo || event.evict)) {
    record.set_draining(!event.undo);
    if (!event.request_id.empty()) record.add_requests(key);
    while (record.requests_size() > 32) record.mutable_requests()->DeleteSubrange(0, 1);
    decision_.records.push_back(RecordOf(std::move(record)));
    decision_.replan = true;
    Touch(event.worker);
    if (event.evict) Evict(event.worker);
  }
  decision_.effects.push_back(Reply{event.token, absl::OkStatus(), event.worker});
}

bool Stepper::AgentsCanSave(const JobRecord& job) const {
  return std::all_of(job.running().grants().begin(), job.running().grants().end(), [&](const journal::v1::Grant& grant) {
    const auto worker = soft_.workers.find(grant.worker());
    // Agents that have not reconnected yet receive the request with their next hello.
    if (worker == soft_.workers.end()) return true;
    return !worker->second.silent;
  });
}

void Stepper::Evict(const std::string& worker) {
  const auto jobs = state_.index.by_worker.find(worker);
  if (jobs == state_.index.by_worker.end()) return;
  for (const std::string& id : jobs->second) {
    const JobRecord& job = *Job(id);
    const bool has = HasGrant(job, worker);
    if (has) Drive(id, SaveAndStop{worker, absl::StrCat(worker, " drains"), AgentsCanSave(job)});
  }
}

}  // namespace muster
