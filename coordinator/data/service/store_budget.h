// Limits how much the data server stores, and explains what to remove.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/data/service/data_stores.h"

namespace muster {

// Bytes by kind: datasets, tokens, blobs.
std::map<std::string, uint64_t> StoredBytes(const DataStores& stores);

// Thread-safe.
class StoreBudget {
 public:
  // `budget` in bytes; 0: limited only by the disk.
  StoreBudget(DataStores& stores, uint64_t budget, const Clock& clock)
      : stores_(stores), budget_(budget), clock_(clock) {}

  // For content that users bring: checks the space on the disk and in the budget. RESOURCE_EXHAUSTED (DISK_FULL,
  // STORE_BUDGET) names the largest items and how to remove them. The store's size is measured every 10 s; in between,
  // `bytes` are added.
  absl::Status CheckRoom(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  DataStores& stores_;
  const uint64_t budget_;
  const Clock& clock_;
  absl::Mutex mutex_;
  absl::Duration counted_at_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  uint64_t stored_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace muster
