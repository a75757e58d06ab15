// Whole reads of files whose size is not under our control.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"

namespace muster {

// The file's bytes; INVALID_ARGUMENT if it has more than `most`, without reading it.
absl::StatusOr<std::string> ReadSmallFile(const std::filesystem::path& path, uint64_t most);

}  // namespace muster
