// Keeps removals out while somebody copies what is stored.
#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace muster {

// Thread-safe. Must outlive what it hands out.
class RemovalGate {
 public:
  using Pass = std::shared_ptr<void>;

  // Nothing begins to be removed while the pass is held; waits for removals that run.
  Pass Hold() ABSL_LOCKS_EXCLUDED(mutex_);
  // To be held while something is removed. UNAVAILABLE (BACKUP_RUNS) while anybody holds.
  absl::StatusOr<Pass> BeginRemoval() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  int holders_ ABSL_GUARDED_BY(mutex_) = 0;
  int removals_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace muster
