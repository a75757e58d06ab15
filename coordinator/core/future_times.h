// Stored times that are in the future: the wall clock was set back while the coordinator was down. A deadline counted from such
// a time would come too late, and a job that ended at such a time would be kept too long.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/state.h"

namespace muster {

// Returns records that set every time later than `now` to `now`, for all jobs. Empty if there is none.
std::vector<Record> WithoutFutureTimes(const State& state, absl::Time now);

}  // namespace muster
