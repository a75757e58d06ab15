#include "common/process/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

#include <thread>

namespace muster {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

int StopSignals::Wait() {
  int signal = 0;
  sigwait(&signals_, &signal);
  return signal;
}

void StopSignals::ExitOnNext(int exit_code) {
  std::thread([signals = signals_, exit_code] {
    int signal = 0;
    sigwait(&signals, &signal);
    _exit(exit_code);
  }).detach();
}

}  // namespace muster
