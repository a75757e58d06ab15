#include "client/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/exit_code.h"

namespace muster {
namespace {

struct Response {
  std::mutex mutex;
  std::string note;
  std::function<void()> clean_up;
};

Response& TheResponse() {
  static auto* const response = new Response();
  return *response;
}

[[noreturn]] void Interrupted() {
  Response& response = TheResponse();
  const std::lock_guard lock(response.mutex);
  if (response.clean_up) response.clean_up();
  // Starts a new line if the cursor's line may show ^C, or a bar.
  std::fprintf(stderr, "%s%s\n", isatty(STDERR_FILENO) != 0 ? "\n" : "", response.note.c_str());
  std::fflush(stdout);
  _exit(kExitInterrupted);
}

}  // namespace

void WatchInterrupts(std::string note) {
  struct sigaction before {};
  if (sigaction(SIGINT, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  TheResponse().note = std::move(note);
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
  std::thread([interrupt] {
    int signal = 0;
    sigwait(&interrupt, &signal);
    Interrupted();
  }).detach();
}

InterruptScope::InterruptScope(std::string note, std::function<void()> clean_up) {
  const std::lock_guard lock(TheResponse().mutex);
  outer_note_ = std::exchange(TheResponse().note, std::move(note));
  outer_clean_up_ = std::exchange(TheResponse().clean_up, std::move(clean_up));
}

InterruptScope::~InterruptScope() {
  const std::lock_guard lock(TheResponse().mutex);
  TheResponse().note = std::move(outer_note_);
  TheResponse().clean_up = std::move(outer_clean_up_);
}

std::string JobGoesOn(const std::string& id) {
  return absl::StrCat("job ", id, " keeps running. Follow it with muster watch ", id, ", or cancel it with muster cancel ", id, ".");
}

}  // namespace muster
