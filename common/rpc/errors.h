// Between absl::Status in our code and grpc::Status on the wire. The reason (common/status.h) travels as
// google.rpc.ErrorInfo {reason, domain "muster"} in the status details.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace muster {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// True where trying again can help: UNAVAILABLE, and DEADLINE_EXCEEDED of a single try.
bool IsRetryable(const absl::Status& status);

}  // namespace muster
