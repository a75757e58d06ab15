// How an attempt continues from the job's checkpoints.
#pragma once

#include "absl/status/status.h"
#include "worker/rank/link/rank_parts.h"

namespace muster {

// Restores the newest checkpoint that no rank finds damaged, and sets `parts.cursor` and `parts.best`. A job without
// checkpoints begins at step 0. DATA_LOSS if all are damaged: only the user may decide to start over. All
// ranks call this together.
absl::Status RestoreNewest(RankParts& parts);

}  // namespace muster
