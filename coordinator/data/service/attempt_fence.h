// Which attempt of each job is the newest that was seen: requests of older ones are refused.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace muster {

// Thread-safe. Soft state: after a restart the first that asks counts as the newest, as the coordinator and the
// ranks' store fence attempts too.
class AttemptFence {
 public:
  // FAILED_PRECONDITION (STALE_ATTEMPT) for an attempt older than the newest seen.
  absl::Status Admit(const std::string& job, uint32_t attempt);

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, uint32_t> newest_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
