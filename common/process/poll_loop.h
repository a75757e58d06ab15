// One thread that waits for file descriptors and for calls posted by other threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/process/child_process.h"

namespace muster {

// Only Post may be called from other threads. Callbacks may call Watch and Forget.
class PollLoop {
 public:
  static absl::StatusOr<std::unique_ptr<PollLoop>> Create();

  // Calls `on_ready` whenever `fd` can be read or its other end is closed. The caller keeps `fd` open until Forget.
  void Watch(int fd, std::function<void()> on_ready);
  void Forget(int fd);

  // Blocks `signals` for this thread and those that it starts later, and delivers them here.
  absl::Status WatchSignals(const std::vector<int>& signals, std::function<void(int signal)> on_signal);

  // Runs `call` on the loop's thread. Thread-safe; never blocks.
  void Post(std::function<void()> call);

  // Waits at most `timeout` for something to do, and does it.
  void RunOnce(absl::Duration timeout);

 private:
  PollLoop() = default;
  void RunPosted();

  OwnedFd epoll_, wake_, signals_;
  std::map<int, std::shared_ptr<std::function<void()>>> watched_;
  absl::Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
