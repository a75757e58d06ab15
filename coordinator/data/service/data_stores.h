// Everything durable of the data server, opened together.
#pragma once

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/data/blob/blob_store.h"
#include "coordinator/data/service/removal_gate.h"
#include "coordinator/data/store/catalogue.h"
#include "coordinator/data/store/dataset_shelf.h"
#include "coordinator/data/store/state_folder.h"

namespace muster {

// Thread-safe.
struct DataStores {
  std::unique_ptr<StateFolder> state;
  std::unique_ptr<Catalogue> catalogue;
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<DatasetShelf> shelf;
  RemovalGate removals;  // asked before anything that may be needed is removed
};

// Opens the state folder and removes what nothing needs any more: partial uploads after 7 days, and datasets without
// a name (replaced, or deleted while a job trained on them) 30 days after they were last opened.
absl::StatusOr<std::unique_ptr<DataStores>> OpenDataStores(const std::filesystem::path& root, absl::Time now);

// Removes the name, and its content unless it has another name or is in use.
absl::Status DeleteDataset(DataStores& stores, const std::string& name);

}  // namespace muster
