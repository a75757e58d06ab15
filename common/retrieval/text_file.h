// Text files of runs and judgments: whole, plain or gzip.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

// The bytes of a file, unpacked if it is gzip, without a byte order mark. INVALID_ARGUMENT, with the file's name and a
// remedy, if it cannot be read, is cut off, or contains only blanks.
absl::StatusOr<std::string> ReadTextFile(const std::string& file);

// Calls `take` with every line that is not blank and its number, from 1; lines come without "\n" and "\r". Stops at the
// first error, and puts "FILE:LINE: " before it.
absl::Status ForEachLine(const std::string& file, std::string_view text,
                         const std::function<absl::Status(std::string_view line, uint32_t number)>& take);

// An id in an error message: quoted, control characters escaped, cut after 60 bytes.
std::string QuotedId(std::string_view id);

}  // namespace muster
