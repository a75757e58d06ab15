#include "coordinator/runtime/backup_source.h"

#include <system_error>

#include "common/backup/sqlite_copy.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr char kJournal[] = "coordinator.db";

}  // namespace

absl::StatusOr<BackupSource> OpenCoordinatorBackup(const std::filesystem::path& state, const std::string& version) {
  std::error_code error;
  std::filesystem::remove_all(state / "scratch", error);
  RETURN_IF_ERROR(MakeFolders(state / "scratch"));
  BackupSource source;
  source.server = "coordinator";
  source.version = version;
  source.scratch = state / "scratch";
  source.list = [state](const std::filesystem::path& folder) -> absl::StatusOr<std::vector<BackupFile>> {
    std::vector<BackupFile> files;
    RETURN_IF_ERROR(CopySqlite(state / kJournal, folder / kJournal));
    ASSIGN_OR_RETURN(BackupFile journal, ListFile(kJournal, folder / kJournal));
    journal.entry.clear_stamp();  // a fresh copy
    files.push_back(std::move(journal));
    for (const char* kept : {"logs", "audit"}) RETURN_IF_ERROR(ListFolder(state, kept, files));
    return files;
  };
  return source;
}

}  // namespace muster
