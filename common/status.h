// Status helpers. Errors name the place and the remedy: "train.jsonl:4182: … Fix the line, or …".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace muster {

// The same status with "context: " before its message. OK stays OK; payloads are kept.
[[nodiscard]] absl::Status WithContext(const absl::Status& status, std::string_view context);

// Adds a stable, machine-readable reason ("DATASET_NOT_FOUND") to the status. It is sent as google.rpc.ErrorInfo.
[[nodiscard]] absl::Status WithReason(absl::Status status, std::string_view reason);
std::string ReasonOf(const absl::Status& status);  // empty: none

// Adds how long a client should wait before its next try. It is sent as google.rpc.RetryInfo.
[[nodiscard]] absl::Status WithRetryAfter(absl::Status status, absl::Duration wait);
std::optional<absl::Duration> RetryAfterOf(const absl::Status& status);

}  // namespace muster

#define MUSTER_CONCAT_INNER(a, b) a##b
#define MUSTER_CONCAT(a, b) MUSTER_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                            \
  do {                                                         \
    if (absl::Status _status = (expression); !_status.ok()) {  \
      return _status;                                          \
    }                                                          \
  } while (false)

#define ASSIGN_OR_RETURN(target, expression) \
  MUSTER_ASSIGN_OR_RETURN_IMPL(MUSTER_CONCAT(_statusor_, __LINE__), target, expression)
#define MUSTER_ASSIGN_OR_RETURN_IMPL(name, target, expression) \
  auto name = (expression);                                    \
  if (!name.ok()) {                                            \
    return name.status();                                      \
  }                                                            \
  target = *std::move(name)
