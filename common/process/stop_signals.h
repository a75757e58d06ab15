// SIGTERM and SIGINT for a server program: the first one shuts it down, the second one ends it immediately.
#pragma once

#include <signal.h>

namespace muster {

class StopSignals {
 public:
  // Blocks the signals for this thread and all that it starts: create it before any other thread.
  StopSignals();

  int Wait();  // returns the signal's number
  // From now on the next signal ends the process at once, with this exit code. Call it once.
  void ExitOnNext(int exit_code);

 private:
  sigset_t signals_;
};

}  // namespace muster
