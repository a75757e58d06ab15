// What a worker should run, derived from the jobs' state. The agent stops everything else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

muster::internal::v1::DesiredState DesiredStateOf(const State& state, const std::string& worker);

// The names of workers that have a rank of the attempt, each once.
std::vector<std::string> WorkersOf(const State& state, const std::string& job_id, uint32_t attempt);

}  // namespace muster
