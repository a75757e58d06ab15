// What a worker should run, derived from the jobs' state. Whatever is not in it, the agent stops.
#pragma once

#include <string>

#include "coordinator/core/state.h"
#include "muster/v1/worker.pb.h"

namespace muster {

muster::v1::DesiredState DesiredStateOf(const State& state, const std::string& worker);

}  // namespace muster
