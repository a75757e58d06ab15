// Remembers the newest attempt of each job, and refuses requests of older ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace muster {

// Thread-safe. Soft state: after a restart the first attempt that calls counts as the newest. That is safe, because the
// coordinator and the ranks' store fence attempts as well. For the same reason it may forget the jobs that called longest ago.
class AttemptFence {
 public:
  static constexpr size_t kMaxJobs = 10'000;  // far more jobs than train at the same time

  // FAILED_PRECONDITION (STALE_ATTEMPT) for an attempt older than the newest seen.
  absl::Status Admit(const std::string& job, uint32_t attempt);
  size_t jobs() const;

 private:
  struct Entry {
    uint32_t newest = 0;
    std::list<std::string>::iterator place;
  };
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::list<std::string> by_use_ ABSL_GUARDED_BY(mutex_);  // the job that called last is first
};

}  // namespace muster
