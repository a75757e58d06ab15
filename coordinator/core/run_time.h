// Estimates how long jobs run, from their progress. Pure.
//
// Both estimates favor the job that is next in line: a running attempt may end earlier than its rate suggests, and a job that
// would start ahead may take longer. They cannot foresee a cancellation, a failure, or a worker that joins.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "coordinator/core/run_ends.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

inline constexpr double kFaster = 0.8, kSlower = 1.25;  // factors for the time computed from the rate of steps
// The time to reserve slots, start, load, and export.
inline constexpr absl::Duration kBesideSteps = absl::Minutes(2);

// When the job's running attempt ends. `soft`: this job's soft state; null if it has not reported yet.
EndEstimate EndOf(const JobRecord& record, const SoftJob* soft, absl::Time now);

// The longest that a waiting job would hold `slots` slots: by its own last attempt, otherwise by the newest job that did the
// same work on as many ranks. Nothing: neither is known.
std::optional<absl::Duration> LongestRun(const State& state, const Soft& soft, const JobRecord& record, uint32_t slots);

}  // namespace muster
