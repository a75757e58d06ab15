#include "common/exit_code.h"

namespace muster {

int ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk: return kExitSucceeded;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange: return kExitUsage;
    case absl::StatusCode::kCancelled: return kExitCancelled;
    case absl::StatusCode::kDeadlineExceeded: return kExitTimedOut;
    case absl::StatusCode::kUnavailable: return kExitUnreachable;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted: return kExitRefused;
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss: return kExitJobFailed;
    default: return kExitJobFailed;  // absl reserves further codes
  }
}

}  // namespace muster
