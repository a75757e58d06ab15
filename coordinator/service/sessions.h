// The agents' open streams, by session number. Only the core (Soft) knows which session a worker has, so every effect names its
// session. Thread-safe; the event loop sends, the stream (agent_session.h) writes.
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
    // Makes the thread that adds a message, or closes the outbox, call `act`. If there is a message already, calls `act`
    // immediately. Call this once.
    void OnChange(std::function<void()> act);
    void Push(muster::internal::v1::CoordinatorMessage message);
    // Drops a desired state that equals the last one of this session, unless `repeat` is set.
    void PushDesired(const muster::internal::v1::DesiredState& desired, bool repeat);
    // Replaces an acknowledgment that has not been sent.
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

  // Registers a new stream. Its number, higher than all previous ones, identifies it in events and effects.
  std::pair<uint64_t, std::shared_ptr<Outbox>> Open();
  void Close(uint64_t session);
  void CloseAll();  // also closes every later one immediately

  std::shared_ptr<Outbox> Find(uint64_t session);  // null: gone

 private:
  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<uint64_t, std::shared_ptr<Outbox>> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
