// SIGTERM and SIGINT of a program that serves until the first one, and stops at once at the second.
#pragma once

#include <signal.h>

namespace muster {

class StopSignals {
 public:
  // Blocks the signals for this thread and all that it starts: create it before any other thread.
  StopSignals();

  int Wait();  // the number of the one that came
  // From now on the next signal ends the process at once, with this exit code. Call it once.
  void ExitOnNext(int exit_code);

 private:
  sigset_t signals_;
};

}  // namespace muster
