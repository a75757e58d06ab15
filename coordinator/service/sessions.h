// The agents' open streams: what is to be sent to whom. Thread-safe; the event loop sends, a stream's thread writes.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "muster/v1/worker.pb.h"

namespace muster {

class Sessions {
 public:
  // One stream's messages to its agent.
  class Outbox {
   public:
    // Waits for the next message. False: closed.
    bool Next(muster::v1::CoordinatorMessage& message);
    void Push(muster::v1::CoordinatorMessage message);
    // A desired state that is the same as the last one is left out; acknowledgements swallow older ones.
    void PushDesired(const muster::v1::DesiredState& desired);
    void PushAck(uint64_t sequence);
    void Close();

   private:
    absl::Mutex mutex_;
    std::deque<muster::v1::CoordinatorMessage> messages_ ABSL_GUARDED_BY(mutex_);
    std::string last_desired_ ABSL_GUARDED_BY(mutex_);
    bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  };

  // A new stream of this worker. Its number names it in events.
  std::pair<uint64_t, std::shared_ptr<Outbox>> Open(const std::string& worker);
  void Close(uint64_t session);
  void CloseAll();  // and every later one at once

  std::shared_ptr<Outbox> Find(uint64_t session);  // null: gone
  // The newest stream of the worker. Null: none.
  std::shared_ptr<Outbox> FindWorker(const std::string& worker);

 private:
  struct Entry {
    std::string worker;
    std::shared_ptr<Outbox> outbox;
  };
  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<uint64_t, Entry> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
