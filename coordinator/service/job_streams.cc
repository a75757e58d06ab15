// JobService's streams: changes of a job, its logs, its metrics.
#include <map>
#include <utility>

#include "common/deterministic_bytes.h"
#include "common/status.h"
#include "coordinator/core/view.h"
#include "coordinator/service/job_service.h"

namespace muster {
namespace {

using grpc::ServerContext;
using muster::v1::Job;

constexpr absl::Duration kWatchPace = absl::Milliseconds(200);  // at most five views per second
constexpr absl::Duration kLook = absl::Milliseconds(500);       // how often a stream checks that its client is still connected
constexpr size_t kPointsAtOnce = 1000;                          // of metrics, in one message

absl::Status ShuttingDown() {
  return absl::UnavailableError("the coordinator is shutting down. Running jobs continue; try again in a moment.");
}

// Whether a log of this job can still grow.
bool LogMayGrow(const Job& job) { return !IsFinal(job.phase()); }

// Whether a watcher that has seen `last` has not seen `next`. The feed may still hold a view from before the first one.
bool IsNews(const Job& last, const Job& next) {
  if (next.revision() != last.revision()) return next.revision() > last.revision();
  return DeterministicBytes(next) != DeterministicBytes(last);
}

}  // namespace

absl::Status JobServiceImpl::Watch(ServerContext& context, const AdmittedCall& call,
                                   const muster::v1::WatchJobRequest& request,
                                   grpc::ServerWriter<muster::v1::WatchJobResponse>& writer) {
  const std::string& id = request.id();
  options_.feed->Join(id);
  absl::StatusOr<Job> first = View(id);
  absl::Status status = first.status();
  Job last;
  if (first.ok()) last = *std::move(first);
  uint64_t version = 0;
  // A revision above the job's own belongs to a state that a restore from a backup has undone.
  bool send = request.after_revision() == 0 || request.after_revision() != last.revision();
  while (status.ok()) {
    if (send) {
      muster::v1::WatchJobResponse response;
      *response.mutable_job() = last;
      if (!writer.Write(response)) break;
    }
    if (IsFinal(last.phase())) break;
    if (send && options_.feed->Pace(kWatchPace)) status = ShuttingDown();
    if (status.ok()) status = options_.admission->StillAdmitted(context, call);
    if (context.IsCancelled() || !status.ok()) break;
    Job next;
    const WatchFeed::News news = options_.feed->Next(id, kLook, version, next);
    if (news == WatchFeed::News::kStopped) status = ShuttingDown();
    send = news == WatchFeed::News::kChanged && IsNews(last, next);
    if (send) last = std::move(next);
  }
  options_.feed->Leave(id);
  return status;
}

absl::Status JobServiceImpl::Logs(ServerContext& context, const AdmittedCall& call,
                                  const muster::v1::StreamJobLogsRequest& request,
                                  grpc::ServerWriter<muster::v1::StreamJobLogsResponse>& writer) {
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> offsets;
  JobFollower follower(options_.logs->followers(), request.id());
  uint64_t version = 0;
  while (!context.IsCancelled()) {
    RETURN_IF_ERROR(options_.admission->StillAdmitted(context, call));
    absl::StatusOr<Job> job = View(request.id());
    if (!job.ok()) return job.status();
    if (options_.stopping->load()) return ShuttingDown();
    const bool last_look = !request.follow() || !LogMayGrow(*job);
    if (last_look) {  // text from before the job's end may still wait for the disk
      const uint64_t announced = options_.logs->announced();
      while (!context.IsCancelled() && !options_.logs->WaitUntilSettled(announced, kLook)) {
      }
    }
    bool sent = false;
    for (const LogStore::File& file : options_.logs->List(request.id())) {
      if (request.has_rank() && request.rank() != file.rank) continue;
      if (request.has_attempt() && request.attempt() != file.attempt) continue;
      uint64_t& offset = offsets[{file.attempt, file.rank}];
      while (offset < file.size) {
        absl::StatusOr<std::string> text = options_.logs->Read(request.id(), file, offset, last_look);
        if (!text.ok()) return text.status();
        if (text->empty()) break;
        offset += text->size();
        muster::v1::StreamJobLogsResponse response;
        response.set_attempt(file.attempt);
        response.set_rank(file.rank);
        response.set_text(*std::move(text));
        if (!writer.Write(response)) return absl::OkStatus();
        sent = true;
      }
    }
    if (last_look) break;
    if (!sent) version = follower.WaitForMore(version, kLook);
  }
  return absl::OkStatus();
}

absl::Status JobServiceImpl::StreamMetrics(ServerContext& context, const AdmittedCall& call,
                                           const muster::v1::StreamJobMetricsRequest& request,
                                           grpc::ServerWriter<muster::v1::StreamJobMetricsResponse>& writer) {
  JobFollower follower(options_.history->followers(), request.id());
  MetricsHistory::Cursor cursor;
  uint64_t version = 0;
  while (!context.IsCancelled()) {
    RETURN_IF_ERROR(options_.admission->StillAdmitted(context, call));
    if (options_.stopping->load()) return ShuttingDown();
    ASSIGN_OR_RETURN(const muster::v1::JobPhase phase, PhaseOf(request.id()));
    const bool last_look = !request.follow() || IsFinal(phase);
    if (last_look) {  // text from before the job's end may still wait for the disk
      while (!context.IsCancelled() && !options_.history->WaitUntilWritten(kLook)) {
      }
    }
    while (true) {
      ASSIGN_OR_RETURN(auto points, options_.history->Read(request.id(), kPointsAtOnce, cursor));
      if (points.empty()) break;
      muster::v1::StreamJobMetricsResponse response;
      for (muster::v1::StepMetrics& point : points) {
        if (point.step() > request.after_step()) *response.add_points() = std::move(point);
      }
      if (!response.points().empty() && !writer.Write(response)) return absl::OkStatus();
    }
    if (last_look) break;
    version = follower.WaitForMore(version, kLook);
    if (options_.feed->Pace(kWatchPace)) return ShuttingDown();
  }
  return absl::OkStatus();
}

absl::StatusOr<muster::v1::JobPhase> JobServiceImpl::PhaseOf(const std::string& id) {
  absl::StatusOr<muster::v1::JobPhase> phase = NoSuchJob(id);
  RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft&, absl::Time) {
    if (const JobRecord* record = FindJob(state, id)) phase = record->job().phase();
  }));
  return phase;
}

}  // namespace muster
