// Converts the journal's job to the API's. Nothing else does this.
#pragma once

#include "muster/journal/v1/journal.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Without the soft state (ViewOf in coordinator/core/view.h adds it).
muster::v1::Job ApiJobFrom(const journal::v1::StoredJob& stored);

}  // namespace muster
