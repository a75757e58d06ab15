// The sample ledger of a run, judged at the end of each epoch.
#pragma once

#include <cstdint>
#include <optional>

#include "common/sample_ledger.h"
#include "common/spec/stages.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

// Notes that the step of `share` was applied. `applied`: the queries of all ranks that the update was computed from.
// Returns the verdict on the epoch if the step ended one that the ledger saw from its beginning. `stage`: the step's
// stage.
std::optional<muster::internal::v1::EpochClosed> ApplyToLedger(const muster::internal::v1::StepShare& share,
                                                               const QuerySum& applied, const Stage& stage,
                                                               SampleLedger& ledger);

}  // namespace muster
