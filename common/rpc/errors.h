// Between absl::Status in our code and grpc::Status on the wire. The reason (common/status.h) travels as
// google.rpc.ErrorInfo {reason, domain "muster"} in the status details, a time to wait as google.rpc.RetryInfo, and the
// id of the request as google.rpc.RequestInfo.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace muster {

// How long a caller that asked for too much has to wait (WithRetryAfter on RESOURCE_EXHAUSTED). Zero: it is not that.
absl::Duration RateLimitOf(const absl::Status& status);

// What the server's log knows the call by.
[[nodiscard]] absl::Status WithRequestId(absl::Status status, const std::string& request_id);
std::string RequestIdOf(const absl::Status& status);  // empty: none

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);
// Of a call that this process did not cancel: CANCELLED means that the server shut down under it, hence UNAVAILABLE.
absl::Status FromUncancelledCall(const grpc::Status& status);

// True where trying again can help: UNAVAILABLE, DEADLINE_EXCEEDED of a single try, and where the server said when.
bool IsRetryable(const absl::Status& status);

}  // namespace muster
