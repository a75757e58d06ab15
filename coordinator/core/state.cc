#include "coordinator/core/state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/deterministic_bytes.h"
#include "coordinator/core/former_records.h"
#include "coordinator/core/job_change.h"
#include "coordinator/core/message_change.h"

namespace muster {

using muster::v1::JobPhase;

namespace {

constexpr absl::string_view kEpochKey = "epoch", kJobKey = "job/", kWorkerKey = "worker/", kGarbageKey = "garbage/";

absl::Status OfANewerVersion(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, " of an unknown kind: the state was written by a newer version. "
                                                    "Start that version, or restore the backup from before the upgrade."));
}

void CountPhase(JobPhase phase, int by, State& state) {
  const auto count = state.phases.try_emplace(phase, 0).first;
  if ((count->second += by) == 0) state.phases.erase(count);
}

// Updates what is derived from a job: removes it before the job changes or is erased, and adds it after a change.
void Forget(const JobRecord& job, State& state) {
  CountPhase(job.job().phase(), -1, state);
  state.index.Remove(job);
}

void Learn(const JobRecord& job, State& state) {
  const std::string& id = job.job().id();
  state.last_sequence = std::max(state.last_sequence, job.sequence());
  if (!job.submit_request().empty()) state.submissions[SubmissionKey(job.job().owner(), job.submit_request())] = id;
  if (IsFinal(job.job().phase())) {
    state.active.erase(id);
  } else {
    state.active.insert(id);
  }
  CountPhase(job.job().phase(), 1, state);
  state.index.Add(job);
}

absl::Status Change(const journal::v1::JobChange& change, State& state) {
  JobRecord* const job = state.jobs.Mutable(change.id());
  if (job == nullptr) {
    return absl::DataLossError(absl::StrCat("a journal record changes job \"", change.id(), "\", which does not exist. ",
                                            "Restore the folder's backup."));
  }
  if (KeepsDerived(change.change())) return ApplyChange(change.change(), *job);
  Forget(*job, state);
  absl::Status status = ApplyChange(change.change(), *job);
  if (status.ok() && job->job().id() != change.id()) {
    status = absl::DataLossError(absl::StrCat("a journal record changes the id of job \"", change.id(), "\". ",
                                              "Restore the folder's backup."));
  }
  job->mutable_job()->set_id(change.id());
  Learn(*job, state);
  return status;
}

}  // namespace

absl::Status Apply(const Record& record, State& state) {
  switch (record.record_case()) {
    case Record::kEpoch: state.epoch = record.epoch().epoch(); return absl::OkStatus();
    case Record::kJob: {
      JobRecord& known = state.jobs[record.job().job().id()];
      if (known.has_job()) Forget(known, state);
      known = record.job();
      Learn(known, state);
      return absl::OkStatus();
    }
    case Record::kChange: return Change(record.change(), state);
    case Record::kWorker: {
      WorkerRecord& known = state.workers[record.worker().name()];
      state.index.Remove(known);
      known = record.worker();
      state.index.Add(known);
      return absl::OkStatus();
    }
    case Record::kGarbage:
      if (record.garbage().collected()) {
        state.garbage.erase(record.garbage().manifest());
      } else {
        state.garbage.insert(record.garbage().manifest());
      }
      return absl::OkStatus();
    case Record::kRemoved: {
      const std::string& id = record.removed().id();
      const JobRecord* const job = state.jobs.Find(id);
      if (job == nullptr) return absl::OkStatus();
      state.submissions.erase(SubmissionKey(job->job().owner(), job->submit_request()));
      Forget(*job, state);
      state.active.erase(id);
      state.jobs.erase(id);
      return absl::OkStatus();
    }
    case Record::RECORD_NOT_SET: break;
  }
  return OfANewerVersion("a journal record");
}

std::string KeyOf(const Record& record) {
  switch (record.record_case()) {
    case Record::kEpoch: return std::string(kEpochKey);
    case Record::kJob: return absl::StrCat(kJobKey, record.job().job().id());
    case Record::kChange: return absl::StrCat(kJobKey, record.change().id());
    case Record::kRemoved: return absl::StrCat(kJobKey, record.removed().id());
    case Record::kWorker: return absl::StrCat(kWorkerKey, record.worker().name());
    case Record::kGarbage: return absl::StrCat(kGarbageKey, record.garbage().manifest());
    case Record::RECORD_NOT_SET: break;
  }
  return "";
}

std::optional<Record> RecordOfKey(absl::string_view key, const State& state) {
  Record record;
  if (key == kEpochKey) {
    record.mutable_epoch()->set_epoch(state.epoch);
  } else if (absl::ConsumePrefix(&key, kJobKey)) {
    const JobRecord* job = FindJob(state, key);
    if (job == nullptr) return std::nullopt;
    *record.mutable_job() = *job;
  } else if (absl::ConsumePrefix(&key, kWorkerKey)) {
    const auto worker = state.workers.find(std::string(key));
    if (worker == state.workers.end()) return std::nullopt;
    *record.mutable_worker() = worker->second;
  } else if (absl::ConsumePrefix(&key, kGarbageKey)) {
    if (!state.garbage.contains(std::string(key))) return std::nullopt;
    record.mutable_garbage()->set_manifest(std::string(key));
  } else {
    return std::nullopt;
  }
  return record;
}

std::vector<Record> RecordsOf(const State& state) {
  std::vector<std::string> keys = {std::string(kEpochKey)};
  for (const auto& [id, job] : state.jobs) keys.push_back(absl::StrCat(kJobKey, id));
  for (const auto& [name, worker] : state.workers) keys.push_back(absl::StrCat(kWorkerKey, name));
  for (const std::string& manifest : state.garbage) keys.push_back(absl::StrCat(kGarbageKey, manifest));
  std::vector<Record> records;
  for (const std::string& key : keys) records.push_back(*RecordOfKey(key, state));
  return records;
}

absl::StatusOr<State> StateFromFormerSnapshot(absl::string_view bytes) {
  journal::v1::Snapshot snapshot;
  if (!snapshot.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("the snapshot of the coordinator's state cannot be read. Restore the folder's backup.");
  }
  // Kinds of records that this version does not know would be lost with its next snapshot.
  if (!snapshot.GetReflection()->GetUnknownFields(snapshot).empty()) return OfANewerVersion("a part of the snapshot");
  State state;
  state.epoch = snapshot.epoch();
  for (JobRecord& job : *snapshot.mutable_jobs()) {
    UpgradeFormerRecord(job);
    if (absl::Status status = Apply(RecordOf(std::move(job)), state); !status.ok()) return status;
  }
  for (WorkerRecord& worker : *snapshot.mutable_workers()) {
    if (absl::Status status = Apply(RecordOf(std::move(worker)), state); !status.ok()) return status;
  }
  state.garbage.insert(snapshot.garbage().begin(), snapshot.garbage().end());
  return state;
}

std::string SubmissionKey(absl::string_view owner, absl::string_view request_id) {
  return absl::StrCat(owner, "\n", request_id);
}

const JobRecord* FindJob(const State& state, absl::string_view id) {
  return state.jobs.Find(id);
}

bool IsFinal(JobPhase phase) {
  return phase == JobPhase::JOB_PHASE_SUCCEEDED || phase == JobPhase::JOB_PHASE_FAILED ||
         phase == JobPhase::JOB_PHASE_CANCELLED;
}

absl::string_view PhaseName(JobPhase phase) {
  switch (phase) {
    case JobPhase::JOB_PHASE_QUEUED: return "queued";
    case JobPhase::JOB_PHASE_RESERVING: return "reserving";
    case JobPhase::JOB_PHASE_STARTING: return "starting";
    case JobPhase::JOB_PHASE_TRAINING: return "training";
    case JobPhase::JOB_PHASE_RECOVERING: return "recovering";
    case JobPhase::JOB_PHASE_SUCCEEDED: return "succeeded";
    case JobPhase::JOB_PHASE_FAILED: return "failed";
    case JobPhase::JOB_PHASE_CANCELLED: return "cancelled";
    case JobPhase::JOB_PHASE_PAUSED: return "paused";
    case JobPhase::JOB_PHASE_UNSPECIFIED:
    case muster::v1::JobPhase_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::JobPhase_INT_MAX_SENTINEL_DO_NOT_USE_: break;
  }
  return "unspecified";
}

Record RecordOf(JobRecord job) {
  Record record;
  *record.mutable_job() = std::move(job);
  return record;
}

Record RecordOf(WorkerRecord worker) {
  Record record;
  *record.mutable_worker() = std::move(worker);
  return record;
}

}  // namespace muster
