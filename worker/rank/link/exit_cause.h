// The cause of an attempt's end, from its status.
#pragma once

#include "absl/status/status.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

// The cause for an error. CANCELLED means that the rank was asked to stop.
muster::internal::v1::ExitCause CauseOf(const absl::Status& status);

// The reason that an error carries if no checkpoint of the job can be restored.
inline constexpr char kAllDamaged[] = "ALL_CHECKPOINTS_DAMAGED";

}  // namespace muster
