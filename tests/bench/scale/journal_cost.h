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

}  // namespace muster::bench
