// One process per folder.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "common/process/child_process.h"

namespace muster {

// Held until the returned descriptor is closed, and by the end of the process at the latest. The file (made if absent)
// names the holder's pid. FAILED_PRECONDITION while another process holds it; `what` is named in it: "muster local".
absl::StatusOr<OwnedFd> LockFile(const std::filesystem::path& file, const std::string& what);

}  // namespace muster
