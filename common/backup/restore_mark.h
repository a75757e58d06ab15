// FOLDER/restored.json of a state folder that `muster restore` wrote. While it says that the restore is not complete, no
// server opens the folder. A coordinator's mark also says which epoch its restored state begins at.
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

// Above every epoch that a coordinator can have reached before `now`: each start raises it by one, and none starts
// 1024 times per second.
uint64_t EpochAfterRestore(absl::Time now);

absl::Status WriteRestoreMark(const std::filesystem::path& folder, const RestoreMark& mark);

// Nothing: the folder was not restored. FAILED_PRECONDITION: the restore was not finished.
absl::StatusOr<std::optional<RestoreMark>> ReadRestoreMark(const std::filesystem::path& folder);

}  // namespace muster
