// Whether servers answer, checked over the network as a user would.
#pragma once

#include <string>

#include "common/rpc/security.h"

namespace muster {

// Whether grpc.health.v1.Health/Check answers SERVING.
bool Serves(const std::string& address, const SecurityOptions& security);

// Whether the coordinator lists a worker that is ready.
bool HasReadyWorker(const std::string& coordinator, const SecurityOptions& security);

}  // namespace muster
