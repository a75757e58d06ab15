// FOLDER/restored.json, which `muster restore` writes to a state folder. While it says that the restore is not
// complete, no server opens the folder. A coordinator's mark also has the epoch at which its restored state begins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster {

struct RestoreMark {
  std::string backup;  // name
  bool complete = false;
  uint64_t epoch = 0;
};

// An epoch above every epoch that a coordinator can have reached before `now`: each start increases it by one, and no
// coordinator starts 1024 times per second.
uint64_t EpochAfterRestore(absl::Time now);

absl::Status WriteRestoreMark(const std::filesystem::path& folder, const RestoreMark& mark);

// The mark of the folder; nothing if the folder was not restored. FAILED_PRECONDITION: the restore did not finish.
absl::StatusOr<std::optional<RestoreMark>> ReadRestoreMark(const std::filesystem::path& folder);

}  // namespace muster
