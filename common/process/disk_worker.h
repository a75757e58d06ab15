// Does work on files in a separate thread, so that a slow disk delays neither an agent's heartbeats nor the coordinator's
// reading of them.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace muster {

// Thread-safe. Work is done in the order in which it was posted, one piece after the other.
class DiskWorker {
 public:
  explicit DiskWorker(size_t max_bytes = 64 << 20);
  ~DiskWorker();  // finishes the remaining work

  void Post(std::function<void()> work);
  // Work that may be dropped, and that holds `bytes` in memory. Returns false if it was dropped because more than
  // `max_bytes` are waiting already.
  bool TryPost(size_t bytes, std::function<void()> work);

 private:
  struct Piece {
    std::function<void()> work;
    size_t bytes = 0;
  };
  void Run();

  const size_t max_bytes_;
  absl::Mutex mutex_;
  std::deque<Piece> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
