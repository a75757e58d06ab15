// Takes a backup of a running cluster into a folder of backups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/connection.h"
#include "common/backup/repository.h"

namespace muster {

struct BackupSummary {
  std::string name;
  uint64_t files = 0, bytes = 0;        // of the backup
  uint64_t new_files = 0, new_bytes = 0;  // bytes that the folder did not have yet
};

struct TakeOptions {
  absl::Duration within = absl::Hours(6);  // the longest time for which the servers remove nothing
  absl::Time now;                          // names the backup
  std::function<void(uint64_t bytes, uint64_t total)> progress;  // total: as far as it is known
};

// First the data server stops removing, then the coordinator's journal is copied, then the data server's names and
// contents. So everything that the journal refers to is in the backup (docs/decisions/0015-keeping-state.md).
absl::StatusOr<BackupSummary> TakeBackup(const Connection& connection, BackupRepository& repository,
                                         const TakeOptions& options);

// "2026-11-23T22-40-05Z": names of backups, in the order of their times.
std::string BackupName(absl::Time time);

}  // namespace muster
