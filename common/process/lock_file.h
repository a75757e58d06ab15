// One process per folder.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "common/process/child_process.h"

namespace muster {

// Held until the returned descriptor is closed, and at the latest until the process ends. The file (created if absent)
// contains the holder's pid. FAILED_PRECONDITION, naming `what` ("muster local"), while another process holds it.
absl::StatusOr<OwnedFd> LockFile(const std::filesystem::path& file, const std::string& what);

}  // namespace muster
