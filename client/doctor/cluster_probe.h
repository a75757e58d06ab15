// Examines a cluster from where this runs, and returns findings.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/doctor/finding.h"

namespace muster {

// Checks everything from the client's own certificate to the workers. Leaves out checks that depend on something broken.
Findings ExamineCluster(const Endpoint& endpoint, const std::string& own_version);

}  // namespace muster
