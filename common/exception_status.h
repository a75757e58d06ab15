// Converts exceptions of libraries (torch, CUDA) to statuses.
#pragma once

#include <exception>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace muster {

// torch appends a backtrace to its messages, in further lines.
inline absl::string_view WithoutBacktrace(absl::string_view message) { return message.substr(0, message.find('\n')); }

// `place` names what failed ("step 12"); empty: the exception's message names it.
inline absl::Status StatusFromException(absl::StatusCode code, absl::string_view place, const std::exception& error) {
  return absl::Status(code, absl::StrCat(place, place.empty() ? "" : ": ", WithoutBacktrace(error.what())));
}

}  // namespace muster
