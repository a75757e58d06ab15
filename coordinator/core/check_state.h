// Whether a state that was read from disk is one that decisions can continue from.
#pragma once

#include "absl/status/status.h"
#include "coordinator/core/state.h"

namespace muster {

// The laws that Step() keeps and relies on: a job holds an attempt exactly in the phases that need one, its newest
// attempt is the one that runs, ranks are numbered from 0 and belong to workers with a grant, and no slot has two
// ranks. DATA_LOSS names the job and what is wrong.
absl::Status CheckState(const State& state);

// Compares what Apply derives with the jobs that it derives it from. INTERNAL: Apply has a bug. For tests and fuzzers.
absl::Status CheckDerived(const State& state);

}  // namespace muster
