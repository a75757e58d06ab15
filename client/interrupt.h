// Ctrl-C of a command: prints what happens to the work, cleans up, and ends the program with exit code 130.
#pragma once

#include <functional>
#include <string>

namespace muster {

// Handles SIGINT from now on, in a thread of its own. Call it once, in main, before other threads start: they inherit
// the blocked signal. If the caller ignores SIGINT (a shell's background job), it stays ignored. `note`: printed on
// standard error.
void WatchInterrupts(std::string note);

// While it lives, Ctrl-C prints `note` instead, after `clean_up`, which runs in the signal's thread while the command
// is still running. Lives on the stack; scopes nest.
class InterruptScope {
 public:
  explicit InterruptScope(std::string note, std::function<void()> clean_up = {});
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  std::string outer_note_;
  std::function<void()> outer_clean_up_;
};

// "job ID keeps running. Follow it with muster watch ID, or cancel it with muster cancel ID."
std::string JobGoesOn(const std::string& id);

}  // namespace muster
