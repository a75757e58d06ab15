// The content of a backup of the coordinator: the journal, as of one moment, and the logs. Certificates, keys and
// tokens' digests are not included: they belong to the deployment.
#pragma once

#include <filesystem>

#include "common/rpc/backup_service.h"

namespace muster {

// Removes copies that an earlier process left in state/scratch.
absl::StatusOr<BackupSource> OpenCoordinatorBackup(const std::filesystem::path& state, const std::string& version);

}  // namespace muster
