// The stored datasets by digest: published completely, opened once, removed when nothing needs them.
#pragma once

#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/data/dataset.h"

namespace muster {

// Thread-safe.
class DatasetShelf {
 public:
  explicit DatasetShelf(std::filesystem::path folder, const Clock& clock = RealClock())
      : folder_(std::move(folder)), clock_(clock) {}

  // Renames a finished dataset's scratch folder to its digest. A complete dataset with that digest is kept.
  absl::Status Publish(const std::filesystem::path& scratch, const std::string& digest);

  // Maps and validates the dataset unless it is held, or was one of the last kKept that were opened. Calls for other datasets
  // do not wait for this. NOT_FOUND (DATASET_NOT_FOUND) if there is none.
  static constexpr size_t kKept = 8;
  absl::StatusOr<std::shared_ptr<const Dataset>> Open(const std::string& digest);

  // Removes the dataset's folder unless someone holds it, or it was opened or published since `time`; then it stays
  // until a later sweep. True: it was removed.
  absl::StatusOr<bool> RemoveUnlessUsedSince(const std::string& digest, absl::Time time);

  // Digests of all stored datasets whose folder was last opened or written before `time`.
  absl::StatusOr<std::vector<std::string>> NotUsedSince(absl::Time time) const;

 private:
  struct Entry {
    bool opening = false;  // a thread is opening it without holding the mutex; the others wait
    std::weak_ptr<const Dataset> dataset;
  };

  // Waits until no thread opens the dataset, and returns its entry.
  std::shared_ptr<Entry> Settled(const std::string& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether someone other than the shelf holds the dataset. Releases the shelf's own reference.
  bool HeldByOthers(const std::string& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(std::shared_ptr<const Dataset> dataset) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void MakeNew(const std::filesystem::path& path) const;  // records that it was used now, for sweeps

  const std::filesystem::path folder_;
  const Clock& clock_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<const Dataset>> kept_ ABSL_GUARDED_BY(mutex_);  // the last used one is last
};

}  // namespace muster
