// The coordinator's soft state: heartbeats, progress, and the ranks that agents report. Never journaled; after a restart it is
// rebuilt from the agents' reports. Step() reads and changes it, so it depends only on events.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/recent_map.h"
#include "coordinator/core/awake_time.h"
#include "coordinator/core/cluster_index.h"
#include "coordinator/core/goodput.h"
#include "coordinator/core/reason.h"
#include "coordinator/core/run_ends.h"
#include "coordinator/core/timer_set.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

inline constexpr size_t kMostDeletions = 10'000;  // how many are remembered
inline constexpr absl::Duration kNoProgress = absl::Seconds(120);

using AttemptKey = std::pair<std::string, uint32_t>;  // job id, attempt

struct SoftWorker {
  muster::internal::v1::Hello hello;  // its `attempts` are in `observed`
  uint64_t session = 0;       // its current stream; 0: none
  absl::Time last_heard;
  absl::Time pushed = absl::InfinitePast();  // when the desired state was last sent on this session
  bool silent = false;        // found silent, and not heard since
  bool draining = false;      // its agent is about to end
  uint64_t last_report = 0;   // highest sequence of this instance that took effect
  absl::Time avoided_until = absl::InfinitePast();  // it refused a reservation, or was late
  std::map<AttemptKey, std::set<uint32_t>> observed;  // ranks that the agent reports as running
  std::map<AttemptKey, std::vector<muster::internal::v1::RankActivity>>
      activities;            // what those ranks last reported to be doing
  absl::Time activities_at;  // when the agent reported it
};

struct SoftJob {
  uint32_t attempt = 0;
  muster::v1::Progress progress;
  absl::Time changed;   // last sign of progress of the attempt
  Reason waiting;     // why it is not placed: "needs 2 slots, 1 free"
  Reason standstill;  // why its attempt does not move, as of the last tick; empty: it moves
  absl::Time standstill_at;  // when the reason was set
  absl::Time outage_seen = absl::InfinitePast();  // last tick that saw it wait for a lost server; past: none
  bool held = false;  // its last attempt failed because the data server is lost: placed once the server answers

  // For metrics.
  absl::Time failed_at = absl::InfinitePast();  // end of an attempt that failed; infinite past: no recovery is in progress
  uint64_t last_closed = 0;    // 1 + the last epoch whose ledger was counted; 0: none
};

// Whether the coordinator itself can reach the data server.
struct DataServerView {
  std::string address;
  absl::Time lost_at = absl::InfiniteFuture();  // infinite future: it answers
  bool answers() const { return lost_at == absl::InfiniteFuture(); }
};

// Why jobs wait, as of the last plan. A job that the plan did not reach waits behind the first one that it could not place.
struct QueueView {
  struct Head {
    QueuePlace place;
    Reason reason;  // "needs 8 GPUs, 6 free"
    bool operator==(const Head&) const = default;
  };
  std::map<muster::v1::Device, Head> heads;       // the slots that come free are reserved for it
  std::map<WaitingShape, Reason> too_wide;        // shapes of jobs that need more slots than the workers have → the reason
  std::map<std::string, Reason> refused;          // jobs that could have started ahead of a head, were it not delayed
  std::set<std::string> held;                     // jobs that must wait before the next plan tries them again
  uint64_t visited = 0;                           // jobs that the plan looked at

  // Empty: no plan has reached it yet, or it is held.
  Reason ReasonOf(const WaitingShape& shape, const QueuePlace& place) const;
};

struct Soft {
  absl::Time started;  // of this coordinator: no silence is longer than the time since then
  AwakeTime awake;     // without the times in which it could not receive anything
  std::map<std::string, SoftWorker> workers;
  std::map<std::string, SoftJob> jobs;  // of active jobs
  absl::Time accounted = absl::InfinitePast();  // goodput is counted up to here
  Goodput goodput;
  DataServerView data_server;
  absl::Duration no_progress = kNoProgress;     // an attempt without progress for this long ends

  // Indexes of the above, so that no event has to visit all workers or jobs.
  ClusterIndex cluster;
  RunEnds ends;                     // of running attempts
  QueueView queue;
  TimerSet heard;                   // workers, by the time when they were last heard
  TimerSet deadlines;               // running jobs, by the next moment when their attempt may be late
  std::set<std::string> leaving;    // workers that drained and whose session ended
  std::set<std::string> suspects;   // workers whose ranks may differ from the desired state
  // Request key → job, for deletions since this start, because a repeated deletion no longer finds the job.
  RecentMap<std::string, std::string> deletions{kMostDeletions};
  bool missed_unheard = false;      // workers that this coordinator never heard have lost what they ran
};

// Replaces the known ranks of a worker with those that it reported at `now`.
template <typename Attempts>
void Observe(const Attempts& attempts, absl::Time now, SoftWorker& worker) {
  worker.observed.clear();
  worker.activities.clear();
  worker.activities_at = now;
  for (const muster::internal::v1::ObservedAttempt& attempt : attempts) {
    if (attempt.running_ranks().empty()) continue;
    worker.activities[{attempt.job_id(), attempt.attempt()}] = {attempt.activities().begin(), attempt.activities().end()};
    worker.observed[{attempt.job_id(), attempt.attempt()}].insert(attempt.running_ranks().begin(),
                                                                  attempt.running_ranks().end());
  }
}

// Records an attempt's progress report. True if anything changed: the step, the activity, or its progress.
bool NoteProgress(const muster::internal::v1::ProgressReport& report, absl::Time now, SoftJob& job);

// How long this coordinator has listened since `since`: all deadlines are measured in this. Times before its start count as its
// start.
absl::Duration AwakeSince(const Soft& soft, absl::Time since, absl::Time now);

// How long this coordinator has listened without hearing the worker.
absl::Duration SilentFor(const Soft& soft, const std::string& worker, absl::Time now);

}  // namespace muster
