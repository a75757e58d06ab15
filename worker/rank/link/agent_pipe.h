// A rank's messages to its agent, over a pipe: muster.rank.v1.RankMessage, each preceded by its length as a varint.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "muster/rank/v1/rank.pb.h"

namespace muster {

// Thread-safe.
class AgentPipe {
 public:
  explicit AgentPipe(int descriptor) : descriptor_(descriptor) {}

  // Blocks while the pipe is full. UNAVAILABLE: the agent is gone.
  absl::Status Send(const muster::rank::v1::RankMessage& message);

  // Returns when the agent has closed its end. Call it in a separate thread.
  void WaitUntilClosed() const;

 private:
  const int descriptor_;
  absl::Mutex writing_;  // held during write(), so that another thread's message does not split this one
};

}  // namespace muster
