// What can happen (events), and what the coordinator does besides writing records (effects).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/core/state.h"
#include "muster/internal/v1/worker.pb.h"
#include "muster/v1/job_metrics.pb.h"

namespace muster {

// --- Events ---------------------------------------------------------------------------------------------------------

// `token` names the caller that waits for the Reply.
struct SubmitJob {
  uint64_t token = 0;
  std::string job_id;  // drawn at random by the caller
  std::string owner, request_id;
  muster::v1::JobSpec spec;  // validated, defaults filled in
  muster::v1::ResolvedJob resolved;
  uint32_t max_active_jobs = 0;  // of the owner; 0: no limit
};
enum class Verb { kCancel, kPause, kResume };
struct JobCommand {
  uint64_t token = 0;
  Verb verb = Verb::kCancel;
  std::string job_id, user, request_id;
};
struct DeleteJob {  // a job that has ended: its record, and what only it refers to
  uint64_t token = 0;
  std::string job_id, user, request_id;
};
struct DrainWorker {
  uint64_t token = 0;
  std::string worker;
  bool undo = false;
  std::string user, request_id;
  bool evict = false;  // its jobs save, stop, and are placed elsewhere
};
// `session` names the stream: messages of a stream that was replaced by a newer one have no effect.
struct AgentHello {
  uint64_t session = 0;
  muster::internal::v1::Hello hello;
};
struct AgentHeartbeat {
  std::string worker;
  uint64_t session = 0;
  muster::internal::v1::Heartbeat heartbeat;
};
struct AgentReport {
  std::string worker;
  uint64_t session = 0;
  muster::internal::v1::Report report;
};
struct AgentProgress {
  std::string worker;
  uint64_t session = 0;
  muster::internal::v1::ProgressReport progress;
};
struct AgentGone {
  std::string worker;
  uint64_t session = 0;
};
struct BlobsCollected {
  std::string manifest;
};
struct DataServerSeen {  // whether the coordinator itself gets an answer from the data server
  std::string address;
  bool answers = true;
};
struct RetireJobs {  // forgets jobs that ended longer ago than this, at most kMostRetired at once
  absl::Duration keep_ended;
};
// The coordinator received nothing from `from` until now: it was frozen, or was behind its queue. Comes before the events
// that it finds afterwards.
struct Overslept {
  absl::Time from;
};
struct Tick {};  // looks for silent workers and missed deadlines; once per second is enough
struct Plan {};  // places waiting jobs; due after every decision with `replan`

using Event = std::variant<SubmitJob, JobCommand, DeleteJob, DrainWorker, AgentHello, AgentHeartbeat, AgentReport, AgentProgress,
                           AgentGone, BlobsCollected, DataServerSeen, RetireJobs, Overslept, Tick, Plan>;

// --- Effects: carried out once the decision's records are durable ---------------------------------------------------

struct Reply {
  uint64_t token = 0;
  absl::Status status;
  std::string subject;  // id of the job, or name of the worker, that the caller gets to see
};
struct Welcome {
  std::string worker;
  uint64_t session = 0;
};
struct AckReport {
  std::string worker;
  uint64_t session = 0;
  uint64_t sequence = 0;
};
struct PushDesired {
  std::string worker;
  uint64_t session = 0;  // filled in by Step: the worker's own; a worker without one receives it after its next hello
  bool repeat = false;   // send it even if this session already got the same, because the agent does not follow it
};
struct CloseSession {  // replaced by a newer one, or older than the worker's
  uint64_t session = 0;
};
struct OpenRendezvous {
  std::string job_id;
  uint32_t attempt = 0;
};
struct CloseRendezvous {
  std::string job_id;
  uint32_t attempt = 0;
};
struct CollectBlobs {
  std::string manifest;
};
struct CountStale {
  std::string kind;    // report, progress, rank_exited, …: a closed set
  std::string detail;  // FAILED_PRECONDITION "attempt 1 ended", for the log
  std::string job;     // that the message is about
  uint32_t attempt = 0;
};
enum class AttemptEnd { kSucceeded, kFailed, kLost, kNoProgress, kStopped, kRefused, kCancelled, kPaused, kServerLost };
struct CountAttempt {
  AttemptEnd end = AttemptEnd::kFailed;
};
struct ObserveQueueWait {
  absl::Duration wait;
};
// One observation for a metric of the catalogue: added to a counter, or to a histogram.
enum class Measure {
  kDecisions,           // {result}
  kSilences,
  kDeafSeconds,
  kRecoverySeconds,
  kGoodputSeconds,      // {phase}
  kEpochQueries,        // {kind}
  kRankDisagreements,
  kCheckpoints,
  kCheckpointBytes,
  kCheckpointSeconds,
  kCheckpointsRefused,
  kCount,
};
struct Measured {
  Measure measure = Measure::kCount;
  std::string label;  // empty: the family has none
  double value = 1;
};
struct WaitingChanged {};  // the reasons why jobs wait have changed; for watchers of waiting jobs
struct StepReported {  // an attempt has taken a step. Its job may have ended by the same decision, and has no soft state then
  std::string job_id;
  muster::v1::StepMetrics point;
};
struct JobChanged {  // its durable or soft state has changed; for its watchers
  std::string job_id;
};

using Effect = std::variant<Reply, Welcome, AckReport, PushDesired, CloseSession, OpenRendezvous, CloseRendezvous,
                            CollectBlobs, CountStale, CountAttempt, ObserveQueueWait, Measured, StepReported, JobChanged,
                            WaitingChanged>;

struct Decision {
  std::vector<Record> records;  // commit these first
  std::vector<Effect> effects;  // then carry out these
  bool replan = false;          // then pass a Plan to Step
};

}  // namespace muster
