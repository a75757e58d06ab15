// Looks at a cluster from where this runs, and says what it found.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/doctor/finding.h"

namespace muster {

// From the client's own certificate to the workers; what cannot be looked at since something before it is wrong is left
// out.
Findings ExamineCluster(const Endpoint& endpoint, const std::string& own_version);

}  // namespace muster
