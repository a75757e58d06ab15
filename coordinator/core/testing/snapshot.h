// Serializes states, for tests that compare them or write a journal of an older format.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/deterministic_bytes.h"
#include "coordinator/core/state.h"

namespace muster {

// As a journal of format 1 or 2 stored it; equal states give equal bytes.
inline std::string SnapshotBytes(const State& state) {
  journal::v1::Snapshot snapshot;
  snapshot.set_epoch(state.epoch);
  for (const auto& [id, job] : state.jobs) *snapshot.add_jobs() = job;
  for (const auto& [name, worker] : state.workers) *snapshot.add_workers() = worker;
  for (const std::string& manifest : state.garbage) snapshot.add_garbage(manifest);
  return DeterministicBytes(snapshot);
}

// The state after a restart: this state's records, applied to an empty state.
inline absl::StatusOr<State> Reloaded(const State& state) {
  State reloaded;
  for (const Record& record : RecordsOf(state)) {
    if (absl::Status status = Apply(record, reloaded); !status.ok()) return status;
  }
  return reloaded;
}

}  // namespace muster
