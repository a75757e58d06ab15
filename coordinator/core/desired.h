// What a worker should run, derived from the jobs' state. Whatever is not in it, the agent stops.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

muster::internal::v1::DesiredState DesiredStateOf(const State& state, const std::string& worker);

// Those that have a rank of the attempt, each once.
std::vector<std::string> WorkersOf(const State& state, const std::string& job_id, uint32_t attempt);

}  // namespace muster
