// Measures the journal of one wide job, whose attempts start on all ranks, store a checkpoint and fail.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

namespace muster::bench {

struct JournalCosts {
  uint32_t ranks = 0, attempts = 0;
  double entry_bytes = 0, item_bytes = 0;  // per attempt
  double attempt_milliseconds = 0;         // of the thread that decides and commits
  double restart_milliseconds = 0;         // of a store that all attempts have left behind
};

// Averages over the last half of the attempts.
absl::StatusOr<JournalCosts> MeasureJournal(uint32_t ranks, uint32_t attempts);

// A start of a coordinator that remembers many jobs. It reads one row per job, however long the job's history was.
struct StartCosts {
  uint32_t jobs = 0, long_jobs = 0, attempts = 0;
  double written_mib = 0;  // of records and rows, in the life of all jobs
  double stored_mib = 0;   // the database that the start reads
  double start_milliseconds = 0;
};

// `jobs` jobs of 8 ranks have ended, `long_jobs` of them after `attempts` failed attempts, and the others in their first.
absl::StatusOr<StartCosts> MeasureStart(uint32_t jobs, uint32_t long_jobs, uint32_t attempts);

}  // namespace muster::bench
