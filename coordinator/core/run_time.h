// How long jobs run, by what their progress says. Pure.
//
// Both estimates lean to the side of the job that is next in line: an attempt may end earlier than its rate tells, and a
// job that is to start before it may take longer. They cannot foresee a cancellation, a failure, or a worker that joins.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "coordinator/core/run_ends.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

inline constexpr double kFaster = 0.8, kSlower = 1.25;  // of the time that the rate of steps gives
// To reserve slots, start, load, and export.
inline constexpr absl::Duration kBesideSteps = absl::Minutes(2);

// When the job's running attempt ends. `soft`: of this job; null: it has said nothing yet.
EndEstimate EndOf(const JobRecord& record, const SoftJob* soft, absl::Time now);

// The longest that a waiting job would hold `slots` slots: by its own last attempt, otherwise by the newest job that did the
// same work on as many ranks. Nothing: neither tells.
std::optional<absl::Duration> LongestRun(const State& state, const Soft& soft, const JobRecord& record, uint32_t slots);

}  // namespace muster
