#include "common/backup/sqlite_copy.h"
#include "common/status.h"
#include "coordinator/data/service/services.h"

namespace muster {
namespace {

constexpr char kCatalogue[] = "catalogue.db";

// Lists names first, then contents: content is stored before it gets a name, and is not removed while the backup holds the
// gate.
absl::StatusOr<std::vector<BackupFile>> ListStores(const DataStores& stores, const std::filesystem::path& folder) {
  std::vector<BackupFile> files;
  RETURN_IF_ERROR(CopySqlite(stores.state->catalogue(), folder / kCatalogue));
  ASSIGN_OR_RETURN(BackupFile catalogue, ListFile(kCatalogue, folder / kCatalogue));
  catalogue.entry.clear_stamp();  // a fresh copy
  files.push_back(std::move(catalogue));
  const std::filesystem::path root = stores.state->catalogue().parent_path();
  for (const char* kept : {"datasets", "audit"}) RETURN_IF_ERROR(ListFolder(root, kept, files));
  ASSIGN_OR_RETURN(const std::vector<StoredBlob> blobs, stores.blobs->List());
  for (const StoredBlob& blob : blobs) {
    ASSIGN_OR_RETURN(const std::filesystem::path path, stores.blobs->PathOf(blob.digest));
    BackupFile file;
    file.from = path;
    file.entry.set_path(path.lexically_relative(root).generic_string());
    file.entry.set_size(blob.size);
    file.entry.set_digest(blob.digest);
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

BackupSource DataBackup(DataStores& stores) {
  BackupSource source;
  source.server = "data";
  source.version = MUSTER_VERSION;
  source.hold = [&stores] { return stores.removals.Hold(); };
  source.scratch = stores.state->scratch();
  source.list = [&stores](const std::filesystem::path& folder) { return ListStores(stores, folder); };
  return source;
}

}  // namespace muster
