// Whether a server that this process waits for can be reached at all. A slow server still answers health checks; one
// that is down, frozen or cut off does not.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace muster {

// Asks the health service behind the channel. False: no answer within `within`, or no connection. Any other answer,
// errors included, comes from a server that can be reached.
bool Answers(const std::shared_ptr<grpc::Channel>& channel, absl::Duration within);

// Watches one server while something waits for it. Thread-safe; owned by the owner of the channel.
class ReachabilityWatch {
 public:
  struct Options {
    std::shared_ptr<grpc::Channel> channel;
    std::string name;                               // "data server 10.0.0.7:7072"
    absl::Duration patience = absl::Seconds(1);  // a longer wait starts health checks
    absl::Duration answer_within = absl::Seconds(2);
  };
  explicit ReachabilityWatch(Options options);
  ~ReachabilityWatch();

  // The server that something waits for because it cannot be reached; empty: none.
  std::string Unreachable() const;

  // Create one where a call, or a loop that retries a call, begins to wait for the server. `watch` may be null.
  class Wait {
   public:
    explicit Wait(ReachabilityWatch* watch);
    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    void Moved();  // something arrived: the server can be reached
    bool unreachable() const { return watch_ != nullptr && !watch_->Unreachable().empty(); }

   private:
    friend class ReachabilityWatch;
    ReachabilityWatch* const watch_;
    absl::Duration since_;  // guarded by the watch's mutex
  };

 private:
  void Run();
  // How long until the oldest wait has lasted `patience`; infinite: nothing waits.
  absl::Duration UntilDue() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const Options options_;
  mutable absl::Mutex mutex_;
  std::set<const Wait*> waits_ ABSL_GUARDED_BY(mutex_);
  bool unreachable_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
