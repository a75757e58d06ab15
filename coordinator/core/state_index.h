// Indexes over the jobs and workers of a State, so that no event has to visit all of them. Apply() updates them when it changes
// a record; they are never stored.
//
// Sets with an element per job are B-trees, which take about 50 bytes per element; a node of std::set takes 96.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/btree_set.h"
#include "muster/journal/v1/journal.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {

// The properties of a waiting job that decide whether it fits on the free slots.
struct WaitingShape {
  muster::v1::Device device = muster::v1::DEVICE_CPU;
  uint32_t min = 1;       // slots
  uint32_t protocol = 0;  // the lowest protocol that its workers must understand
  auto operator<=>(const WaitingShape&) const = default;
};

// A job's position in the queue: by priority (high first), then in the order of submission.
struct QueuePlace {
  int32_t priority = 0;
  uint64_t sequence = 0;
  std::string id;
  uint32_t max_slots = 1;  // that the job can use; does not decide the order
  bool operator==(const QueuePlace&) const = default;
  std::strong_ordering operator<=>(const QueuePlace& other) const;
};
using QueuePlaces = absl::btree_set<QueuePlace>;
using WaitingJobs = std::map<WaitingShape, QueuePlaces>;

struct QueueTotals {
  uint64_t jobs = 0, waiting = 0, running = 0, slots_used = 0;  // paused jobs are neither waiting nor running
  absl::btree_set<std::pair<int64_t, std::string>> since;  // of waiting jobs: when they began to wait, in nanoseconds
  bool operator==(const QueueTotals&) const = default;
};

// Jobs by the time of their submission in nanoseconds, then by their sequence.
using SubmissionPlace = std::tuple<int64_t, uint64_t, std::string>;
using JobsInOrder = absl::btree_set<SubmissionPlace>;
using JobsByName = absl::btree_set<std::pair<std::string, SubmissionPlace>>;

// Jobs by the order of their submission.
using JobsBySequence = absl::btree_set<std::pair<uint64_t, std::string>>;

// What each tick needs to know about a running attempt, so that it does not read the job's record.
struct RunningAttempt {
  uint32_t number = 0, ranks = 0;
  bool trains = false;  // the job's phase
  bool operator==(const RunningAttempt&) const = default;
};

// The number of references from jobs to a digest.
struct DigestReferences {
  uint64_t all = 0;
  uint64_t needed = 0;  // those of them that make the data server keep it (RootsOf)
  bool operator==(const DigestReferences&) const = default;
};

struct StateIndex {
  std::map<std::string, std::set<std::string>> by_worker;  // worker → active jobs whose running attempt uses it
  std::map<std::string, RunningAttempt> running;           // by job
  std::set<std::string> cause_pending;                     // active jobs with JobRecord.cause_pending
  WaitingJobs waiting;                                     // jobs that must be placed
  std::set<std::string> retrying;                          // active jobs that wait before their next attempt
  uint64_t waiting_slots = 0;                              // minimum slots of active, unpaused jobs without an attempt
  std::map<std::string, uint64_t> active_of_owner;
  std::map<std::string, QueueTotals> queues;               // of active jobs
  JobsInOrder by_submission, active_by_submission;
  std::map<std::string, JobsInOrder> by_owner, by_queue;
  JobsByName by_name;
  std::map<muster::v1::JobPhase, JobsInOrder> by_phase;
  absl::btree_set<std::pair<int64_t, std::string>> ended;  // by the time of their end, in nanoseconds
  std::map<std::string, std::set<std::string>> requests;   // key of a request that took effect → its jobs
  std::map<std::string, DigestReferences> manifests;             // that jobs refer to (retention.h)
  std::map<std::string, DigestReferences> vocabularies;          // blobs that jobs name without a manifest
  std::map<std::string, uint64_t> datasets;                // of jobs that have not ended → how often
  uint64_t gpu_workers = 0;
  // WorkKey → ranks of the newest attempt → jobs that have had an attempt.
  std::map<std::string, std::map<uint32_t, JobsBySequence>> ran;
  bool operator==(const StateIndex&) const = default;

  // Before a change, remove the old record; after it, add the new one.
  void Add(const journal::v1::JobRecord& record) { Change(record, true); }
  void Remove(const journal::v1::JobRecord& record) { Change(record, false); }
  void Add(const journal::v1::WorkerRecord& record) { gpu_workers += record.device() == "gpu" ? 1 : 0; }
  void Remove(const journal::v1::WorkerRecord& record) { gpu_workers -= record.device() == "gpu" ? 1 : 0; }

 private:
  void Change(const journal::v1::JobRecord& record, bool add);
};

// How many ranks the job requests, and on which workers.
WaitingShape ShapeOf(const journal::v1::JobRecord& record);
// Jobs with the same key train the same model on the same kind of device.
std::string WorkKey(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved);
QueuePlace PlaceOf(const journal::v1::JobRecord& record);
SubmissionPlace SubmissionPlaceOf(const journal::v1::JobRecord& record);
// Whether the job must be placed, now or when it is tried again.
bool IsWaiting(const journal::v1::JobRecord& record);

}  // namespace muster
