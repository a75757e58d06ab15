// Everything durable of the data server, opened together.
#pragma once

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
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
  // Held from the look at a name to its change (service/ownership.h), so that of two changes at once one sees the
  // other. Both disk writes of a change happen under it: changes of names are rare.
  absl::Mutex names;
};

// Opens the state folder.
absl::StatusOr<std::unique_ptr<DataStores>> OpenDataStores(const std::filesystem::path& root, const Clock& clock);

// Makes the blobs of a manifest, and its own, as new as put ones. NOT_FOUND if one is not stored.
absl::Status TouchManifest(DataStores& stores, const std::string& digest);

}  // namespace muster
