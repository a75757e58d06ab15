#include "coordinator/data/service/data_stores.h"

#include <system_error>

#include "common/status.h"
#include "coordinator/data/blob/model_files.h"

namespace muster {

absl::StatusOr<std::unique_ptr<DataStores>> OpenDataStores(const std::filesystem::path& root, const Clock& clock) {
  auto stores = std::make_unique<DataStores>();
  ASSIGN_OR_RETURN(stores->state, StateFolder::Open(root));
  ASSIGN_OR_RETURN(stores->catalogue, Catalogue::Open(stores->state->catalogue()));
  ASSIGN_OR_RETURN(stores->blobs, BlobStore::Open(stores->state->blobs(), clock));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(stores->state->datasets(), error)) {
    // Left over by an interrupted removal.
    if (entry.path().extension() == ".removed") std::filesystem::remove_all(entry.path(), error);
  }
  stores->shelf = std::make_unique<DatasetShelf>(stores->state->datasets(), clock);
  return stores;
}

absl::Status TouchManifest(DataStores& stores, const std::string& digest) {
  ASSIGN_OR_RETURN(const muster::v1::FileManifest files, ReadManifestBlob(*stores.blobs, digest));
  RETURN_IF_ERROR(stores.blobs->Touch(digest));
  for (const muster::v1::FileEntry& file : files.files()) RETURN_IF_ERROR(stores.blobs->Touch(file.digest()));
  return absl::OkStatus();
}

}  // namespace muster
