// Converts between absl::Status in our code and grpc::Status on the wire. The reason (common/status.h) travels as
// google.rpc.ErrorInfo {reason, domain "muster"} in the status details, a retry delay as google.rpc.RetryInfo, and the
// request's id as google.rpc.RequestInfo.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace muster {

// How long a caller that exceeded a limit has to wait (WithRetryAfter on RESOURCE_EXHAUSTED). Zero: the error is not of
// that kind.
absl::Duration RateLimitOf(const absl::Status& status);

// The id under which the server's log has the call.
[[nodiscard]] absl::Status WithRequestId(absl::Status status, const std::string& request_id);
std::string RequestIdOf(const absl::Status& status);  // empty: none

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);
// For a call that this process did not cancel: CANCELLED means that the server shut down during it, so it becomes
// UNAVAILABLE.
absl::Status FromUncancelledCall(const grpc::Status& status);

// True if a retry can help: UNAVAILABLE, DEADLINE_EXCEEDED of a single try, and errors with a retry delay.
bool IsRetryable(const absl::Status& status);

}  // namespace muster
