// The agents' open streams, by session number. Which session a worker has is the core's knowledge alone (Soft): every
// effect names its session. Thread-safe; the event loop sends, the stream (agent_session.h) writes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

class Sessions {
 public:
  // One stream's messages to its agent.
  class Outbox {
   public:
    // Does not wait.
    enum class Found { kMessage, kNothing, kClosed };
    Found TryNext(muster::internal::v1::CoordinatorMessage& message);
    // From now on `act` is called when TryNext may find something else, by whoever brings it. Call this once; `act` is
    // called at once, too, if there is something already.
    void OnChange(std::function<void()> act);
    void Push(muster::internal::v1::CoordinatorMessage message);
    // Leaves out a desired state that is the same as the last one of this session, unless `repeat`.
    void PushDesired(const muster::internal::v1::DesiredState& desired, bool repeat);
    // Replaces an acknowledgment that still waits.
    void PushAck(uint64_t sequence);
    void Close();

   private:
    void Tell();

    absl::Mutex mutex_;
    std::function<void()> on_change_ ABSL_GUARDED_BY(mutex_);  // never replaced once it is set
    std::deque<muster::internal::v1::CoordinatorMessage> messages_ ABSL_GUARDED_BY(mutex_);
    std::string last_desired_ ABSL_GUARDED_BY(mutex_);
    bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  };

  // A new stream. Its number, higher than every number before, names it in events and effects.
  std::pair<uint64_t, std::shared_ptr<Outbox>> Open();
  void Close(uint64_t session);
  void CloseAll();  // and every later one at once

  std::shared_ptr<Outbox> Find(uint64_t session);  // null: gone

 private:
  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<uint64_t, std::shared_ptr<Outbox>> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
