// The coordinator's durable state as a value. The authoritative copy is in coordinator/state, and only Store::Commit can change
// it. Everything else sees it as const.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/timestamp.h"
#include "coordinator/core/job_table.h"
#include "coordinator/core/state_index.h"
#include "muster/journal/v1/journal.pb.h"

namespace muster {

using journal::v1::JobRecord;
using journal::v1::Record;
using journal::v1::WorkerRecord;

struct State {
  uint64_t epoch = 0;
  JobTable jobs;
  std::map<std::string, WorkerRecord> workers;
  std::set<std::string> garbage;  // manifests

  // Derived by Apply, never stored.
  absl::btree_set<std::string> active;                     // ids of jobs that have not ended
  absl::btree_map<std::string, std::string> submissions;   // SubmissionKey → job id
  std::map<muster::v1::JobPhase, uint64_t> phases;         // how many jobs are in each; none: no entry
  uint64_t last_sequence = 0;                              // of submission
  StateIndex index;
};

// Applies a record to the state, both when it is committed and in a replay. FAILED_PRECONDITION: the record has an unknown
// kind, from a newer version; nothing is changed. DATA_LOSS: the change does not fit its job; it may be partly applied.
absl::Status Apply(const Record& record, State& state);

// The key of what a record describes: "job/ID", "worker/NAME", "garbage/MANIFEST" or "epoch". Records of different keys may be
// applied in any order.
std::string KeyOf(const Record& record);
// The record that recreates the state's entry for this key. Nothing: there is no such entry.
std::optional<Record> RecordOfKey(absl::string_view key, const State& state);
// The records that recreate the state.
std::vector<Record> RecordsOf(const State& state);

// The state in a snapshot of journal format 1 or 2. DATA_LOSS: unreadable. FAILED_PRECONDITION: a newer version wrote it.
absl::StatusOr<State> StateFromFormerSnapshot(absl::string_view bytes);

std::string SubmissionKey(absl::string_view owner, absl::string_view request_id);

const JobRecord* FindJob(const State& state, absl::string_view id);  // null: there is none

// Whether a job in this phase has ended.
bool IsFinal(muster::v1::JobPhase phase);
// Lower case, for messages and metrics: "queued".
absl::string_view PhaseName(muster::v1::JobPhase phase);

Record RecordOf(JobRecord job);
Record RecordOf(WorkerRecord worker);

}  // namespace muster
