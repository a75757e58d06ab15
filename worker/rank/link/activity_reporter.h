// Reports a rank's activity to its agent from a separate thread, even while the training thread hangs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/rank/collective/activity_board.h"
#include "worker/rank/link/agent_pipe.h"

namespace muster {

class ActivityReporter {
 public:
  struct Options {
    uint32_t rank = 0;
    std::function<std::string()> unreachable;  // the server that the rank waits for; empty: none
    absl::Duration check_every = absl::Milliseconds(250);  // how often the board is checked for a change to send
    absl::Duration report_every = absl::Seconds(2);        // sent without a change, too: shows that this process is not frozen
  };
  // Pipe and board must outlive it.
  ActivityReporter(AgentPipe& agent, const ActivityBoard& board, Options options);
  ~ActivityReporter();

 private:
  void Run();

  AgentPipe& agent_;
  const ActivityBoard& board_;
  const Options options_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
