// Decides, from the state alone, what a submission becomes or would become.
#pragma once

#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"
#include "muster/v1/job.pb.h"

namespace muster {

// `auto` is gpu where a worker has one, otherwise cpu. Other devices stay.
muster::v1::Device DecidedDevice(const State& state, muster::v1::Device device);

// Fills in `preview.seconds` from the tokens per second of the newest similar job, with a note that names that job; without
// one, with a note that the time is not known. A similar job trained the same model (or preset) on the same device, on a number
// of ranks that `planned` allows. The device of `planned` must be decided. Visits few jobs, however many there are.
void EstimateSeconds(const State& state, const Soft& soft, const muster::v1::Job& planned,
                     muster::v1::TrainingPreview& preview);

}  // namespace muster
