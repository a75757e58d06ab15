// Everything durable in the data server, opened together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "coordinator/data/blob/blob_store.h"
#include "coordinator/data/service/once_cache.h"
#include "coordinator/data/service/removal_gate.h"
#include "coordinator/data/store/catalogue.h"
#include "coordinator/data/store/dataset_shelf.h"
#include "coordinator/data/store/state_folder.h"
#include "coordinator/data/tokenize/tokenizer.h"

namespace muster {

// Facts about a job's training data that depend only on the datasets and the job's `data`, `batch` and `loss`.
struct TrainingFacts {
  uint64_t queries = 0, steps = 0;  // an epoch's
  std::vector<bool> trains_on;      // by training set: whether it has a query
  std::vector<std::string> notes;  // for the submitter
};

// Thread-safe.
struct DataStores {
  std::unique_ptr<StateFolder> state;
  std::unique_ptr<Catalogue> catalogue;
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<DatasetShelf> shelf;
  RemovalGate removals;  // every removal of stored content must pass it
  // Held from reading a name until changing it (service/ownership.h), so that the second of two concurrent changes sees
  // the first. Both disk writes of a change happen under it: changes of names are rare.
  absl::Mutex names;
  // Caches, so that a submission similar to earlier ones reads neither a vocabulary nor all of a split's judgments.
  OnceCache<const Tokenizer> tokenizers{8};  // by the digest of their files' manifest
  OnceCache<const TrainingFacts> facts{64};  // resolver.cc has the keys
};

// Opens the state folder.
absl::StatusOr<std::unique_ptr<DataStores>> OpenDataStores(const std::filesystem::path& root, const Clock& clock);

// Makes a manifest and its files as new as blobs that were just stored. NOT_FOUND if one of them is not stored.
absl::Status TouchManifest(DataStores& stores, const std::string& digest);

}  // namespace muster
