// The changes that a state from a backup needs before it is used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/state.h"

namespace muster {

// Attempts that the cluster began after the backup are unknown. So after a restore this many numbers above the last known
// one are skipped, and a message from a rank of such an attempt cannot be mistaken for one of a new attempt.
inline constexpr uint32_t kAttemptsAfterBackup = 1000;

// Records that raise the epoch to `epoch`, end every attempt that ran when the backup was taken (no failure of its job, which
// continues from its newest undamaged checkpoint), and skip attempt numbers. Empty if the epoch is already `epoch` or higher.
std::vector<Record> AfterRestore(const State& state, uint64_t epoch, const std::string& backup, absl::Time now);

}  // namespace muster
