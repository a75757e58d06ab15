// One session stream with the coordinator.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "muster/internal/v1/worker.pb.h"

namespace grpc {
class Channel;
}

namespace muster {

class Session {
 public:
  struct Callbacks {  // called on gRPC's threads, one at a time
    std::function<void(muster::internal::v1::CoordinatorMessage)> on_message;
    std::function<void(std::string reason)> on_end;  // once; nothing follows
  };
  virtual ~Session() = default;

  // Thread-safe, never blocks. If the coordinator reads messages too slowly, log lines and progress are dropped.
  virtual void Send(muster::internal::v1::AgentMessage message) = 0;
  // Delivers the messages that were sent, and ends the stream: at once, or when the coordinator does. Thread-safe.
  virtual void Close() = 0;
  virtual void Cancel() = 0;

  static std::shared_ptr<Session> Open(const std::shared_ptr<grpc::Channel>& channel,
                                       const muster::internal::v1::Hello& hello, Callbacks callbacks);
};

}  // namespace muster
