// Prevents removals while somebody copies the stored files.
#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace muster {

// Thread-safe. Must outlive the passes that it hands out.
class RemovalGate {
 public:
  using Pass = std::shared_ptr<void>;

  // While the pass is held, no removal begins; waits for running removals.
  Pass Hold() ABSL_LOCKS_EXCLUDED(mutex_);
  // Hold this while something is removed. UNAVAILABLE (BACKUP_RUNS) while a pass is held.
  absl::StatusOr<Pass> BeginRemoval() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  int holders_ ABSL_GUARDED_BY(mutex_) = 0;
  int removals_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace muster
