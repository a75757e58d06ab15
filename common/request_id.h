// Request ids of mutations: a second request with the same id gets the first one's answer, and changes nothing.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace muster {

// INVALID_ARGUMENT: the id is too long to be stored.
absl::Status CheckRequestId(const std::string& request_id);

// ALREADY_EXISTS (REQUEST_ID_REUSED): the user has sent this id for something else. `by_what`: "for job a".
absl::Status RequestIdReused(const std::string& request_id, std::string_view by_what);

}  // namespace muster
