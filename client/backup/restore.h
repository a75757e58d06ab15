// Writes a backup into new state folders, with no server running on them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/backup/repository.h"

namespace muster {

struct RestoreOptions {
  std::string backup;                 // name; empty: the newest
  std::filesystem::path coordinator;  // state folder of each; empty: that part is not restored
  std::filesystem::path data;
  absl::Time now;
  std::function<void(uint64_t bytes, uint64_t total)> progress;
};

// The folders must be new, empty, or left by an interrupted restore; otherwise, or while a server uses one,
// FAILED_PRECONDITION. Every file's digest is checked while it is copied (DATA_LOSS), and no server opens a folder
// before it is complete.
absl::StatusOr<muster::internal::v1::BackupManifest> RestoreBackup(const BackupRepository& repository,
                                                                   const RestoreOptions& options);

}  // namespace muster
