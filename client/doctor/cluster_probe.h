// Examines a cluster from where this runs, and returns findings.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/doctor/finding.h"

namespace muster {

// From the client's own certificate to the workers. Checks that depend on something broken are left out.
Findings ExamineCluster(const Endpoint& endpoint, const std::string& own_version);

}  // namespace muster
