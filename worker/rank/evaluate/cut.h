// Smaller micro-batches, for a device that encodes them faster than large ones.
#pragma once

#include <cstdint>
#include <vector>

#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// The same sequences in the same order, in micro-batches of at most `tokens` tokens; a longer sequence is alone in one.
// An inconsistent message is returned unchanged, so that its reader refuses it.
std::vector<muster::internal::v1::MicroBatch> CutMicroBatch(const muster::internal::v1::MicroBatch& micro,
                                                            uint64_t tokens);

}  // namespace muster
