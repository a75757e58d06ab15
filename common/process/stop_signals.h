// SIGTERM and SIGINT of a program that serves until one comes, and stops at once at the second.
#pragma once

#include <signal.h>

namespace muster {

class StopSignals {
 public:
  // Blocks them for this thread and all that it starts: to be made before any other thread is.
  StopSignals();

  int Wait();  // the number of the one that came
  // From now on the next one ends the process at once, with this exit code. To be called once.
  void ExitOnNext(int exit_code);

 private:
  sigset_t signals_;
};

}  // namespace muster
