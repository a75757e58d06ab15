#include "coordinator/data/service/data_stores.h"

#include "absl/container/flat_hash_set.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::Duration kPartialLife = absl::Hours(24 * 7);
constexpr absl::Duration kUnnamedLife = absl::Hours(24 * 30);

absl::StatusOr<absl::flat_hash_set<std::string>> NamedDigests(const Catalogue& catalogue) {
  ASSIGN_OR_RETURN(const auto datasets, catalogue.ListDatasets());
  absl::flat_hash_set<std::string> digests;
  for (const auto& dataset : datasets) digests.insert(dataset.digest());
  return digests;
}

absl::Status Sweep(DataStores& stores, absl::Time now) {
  RETURN_IF_ERROR(stores.blobs->DropPartialsBefore(now - kPartialLife));
  ASSIGN_OR_RETURN(const auto named, NamedDigests(*stores.catalogue));
  ASSIGN_OR_RETURN(const auto old, stores.shelf->NotUsedSince(now - kUnnamedLife));
  for (const std::string& digest : old) {
    if (!named.contains(digest)) RETURN_IF_ERROR(stores.shelf->RemoveIfUnused(digest));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataStores>> OpenDataStores(const std::filesystem::path& root, absl::Time now) {
  auto stores = std::make_unique<DataStores>();
  ASSIGN_OR_RETURN(stores->state, StateFolder::Open(root));
  ASSIGN_OR_RETURN(stores->catalogue, Catalogue::Open(stores->state->catalogue()));
  ASSIGN_OR_RETURN(stores->blobs, BlobStore::Open(stores->state->blobs()));
  stores->shelf = std::make_unique<DatasetShelf>(stores->state->datasets());
  RETURN_IF_ERROR(Sweep(*stores, now));
  return stores;
}

absl::Status DeleteDataset(DataStores& stores, const std::string& name) {
  ASSIGN_OR_RETURN(const muster::v1::Dataset dataset, stores.catalogue->GetDataset(name));
  RETURN_IF_ERROR(stores.catalogue->DeleteDataset(name));
  ASSIGN_OR_RETURN(const auto named, NamedDigests(*stores.catalogue));
  if (named.contains(dataset.digest())) return absl::OkStatus();
  const absl::StatusOr<RemovalGate::Pass> pass = stores.removals.BeginRemoval();
  // During a backup the name goes alone, and a later sweep takes the content.
  return pass.ok() ? stores.shelf->RemoveIfUnused(dataset.digest()) : absl::OkStatus();
}

}  // namespace muster
