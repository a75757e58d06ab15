// Writes only the changes of a job's record to the journal.
#pragma once

#include "absl/status/status.h"
#include "coordinator/core/state.h"

namespace muster {

// A record with the same effect on `state` in fewer bytes if possible: for a known job, its changes.
Record SmallestRecord(Record record, const State& state);

// Whether the change affects nothing that Apply derives from a job. Most changes of a running job belong to this
// kind, so that the start or end of one rank does not visit the others.
bool KeepsDerived(const journal::v1::MessageChange& change);

}  // namespace muster
