// Stored times that are in the future: the wall clock was set back while the coordinator was down. A deadline that starts
// there would never come, and a job that ended there would never be forgotten.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/state.h"

namespace muster {

// Records that set every time of every job that is later than `now` to `now`. Nothing where there is none.
std::vector<Record> WithoutFutureTimes(const State& state, absl::Time now);

}  // namespace muster
