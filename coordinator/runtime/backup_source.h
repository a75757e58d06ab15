// What a backup of the coordinator holds: the journal, as of one moment, and the logs. Certificates, keys and tokens'
// digests are not in it: they are the deployment's.
#pragma once

#include <filesystem>

#include "common/rpc/backup_service.h"

namespace muster {

// Empties what an earlier process left of copies in state/scratch.
absl::StatusOr<BackupSource> OpenCoordinatorBackup(const std::filesystem::path& state, const std::string& version);

}  // namespace muster
