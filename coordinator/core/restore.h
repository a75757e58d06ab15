// What must change in a state from a backup before anybody sees it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/state.h"

namespace muster {

// Attempts that the cluster began after the backup are not known: numbers up to here above the last known one are never
// given again, so that nothing that their ranks still say is taken for a new attempt's.
inline constexpr uint32_t kAttemptsAfterBackup = 1000;

// Records that raise the epoch to `epoch`, end every attempt that ran when the backup was taken (no failure of its job,
// which continues from its newest undamaged checkpoint), and skip attempt numbers. Nothing if the epoch is that far.
std::vector<Record> AfterRestore(const State& state, uint64_t epoch, const std::string& backup, absl::Time now);

}  // namespace muster
