// A job's record in the journal: only what changed of it.
#pragma once

#include "absl/status/status.h"
#include "coordinator/core/state.h"

namespace muster {

// Makes the same state of `state` as the record does, in fewer bytes where it can: of a job that is known, its changes.
Record SmallestRecord(Record record, const State& state);

// Whether nothing that Apply derives from a job can differ after the change. Most changes of a running job are of this
// kind, so that the start or end of one rank does not visit the others.
bool KeepsDerived(const journal::v1::MessageChange& change);

}  // namespace muster
