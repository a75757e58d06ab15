#include "coordinator/core/state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"
#include "coordinator/core/former_records.h"

namespace muster {

using muster::v1::JobPhase;

namespace {

absl::Status OfANewerVersion(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, " of an unknown kind: the state was written by a newer version. "
                                                    "Start that version, or restore the backup from before the upgrade."));
}

void CountPhase(JobPhase phase, int by, State& state) {
  const auto count = state.phases.try_emplace(phase, 0).first;
  if ((count->second += by) == 0) state.phases.erase(count);
}

}  // namespace

absl::Status Apply(const Record& record, State& state) {
  switch (record.record_case()) {
    case Record::kEpoch: state.epoch = record.epoch().epoch(); return absl::OkStatus();
    case Record::kJob: {
      const JobRecord& job = record.job();
      const std::string& id = job.job().id();
      state.last_sequence = std::max(state.last_sequence, job.sequence());
      if (!job.submit_request().empty()) {
        state.submissions[SubmissionKey(job.job().owner(), job.submit_request())] = id;
      }
      if (IsFinal(job.job().phase())) {
        state.active.erase(id);
      } else {
        state.active.insert(id);
      }
      JobRecord& known = state.jobs[id];
      if (known.has_job()) {
        CountPhase(known.job().phase(), -1, state);
        state.index.Remove(known);
      }
      CountPhase(job.job().phase(), 1, state);
      known = job;
      state.index.Add(known);
      return absl::OkStatus();
    }
    case Record::kWorker: state.workers[record.worker().name()] = record.worker(); return absl::OkStatus();
    case Record::kGarbage:
      if (record.garbage().collected()) {
        state.garbage.erase(record.garbage().manifest());
      } else {
        state.garbage.insert(record.garbage().manifest());
      }
      return absl::OkStatus();
    case Record::kRemoved: {
      const auto job = state.jobs.find(record.removed().id());
      if (job == state.jobs.end()) return absl::OkStatus();
      state.submissions.erase(SubmissionKey(job->second.job().owner(), job->second.submit_request()));
      CountPhase(job->second.job().phase(), -1, state);
      state.index.Remove(job->second);
      state.active.erase(job->first);
      state.jobs.erase(job);
      return absl::OkStatus();
    }
    case Record::RECORD_NOT_SET: break;
  }
  return OfANewerVersion("a journal record");
}

std::string SnapshotBytes(const State& state) {
  journal::v1::Snapshot snapshot;
  snapshot.set_epoch(state.epoch);
  for (const auto& [id, job] : state.jobs) *snapshot.add_jobs() = job;
  for (const auto& [name, worker] : state.workers) *snapshot.add_workers() = worker;
  for (const std::string& manifest : state.garbage) snapshot.add_garbage(manifest);
  return DeterministicBytes(snapshot);
}

absl::StatusOr<State> StateFromSnapshot(absl::string_view bytes, bool former) {
  journal::v1::Snapshot snapshot;
  if (!snapshot.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("the snapshot of the coordinator's state cannot be read. Restore the folder's backup.");
  }
  // Kinds of records that this version does not know would be lost with its next snapshot.
  if (!snapshot.GetReflection()->GetUnknownFields(snapshot).empty()) return OfANewerVersion("a part of the snapshot");
  State state;
  state.epoch = snapshot.epoch();
  for (JobRecord& job : *snapshot.mutable_jobs()) {
    if (former) UpgradeFormerRecord(job);
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
  const auto found = state.jobs.find(std::string(id));
  return found == state.jobs.end() ? nullptr : &found->second;
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

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp result;
  const int64_t nanoseconds = absl::ToUnixNanos(time);
  result.set_seconds(nanoseconds / 1000000000);
  result.set_nanos(static_cast<int32_t>(nanoseconds % 1000000000));
  return result;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
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
