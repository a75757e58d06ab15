// Ctrl-C of a command: prints what happens to the work, cleans up, and ends the program with exit code 130.
#pragma once

#include <functional>
#include <string>

namespace muster {

// Handles SIGINT from now on, in a separate thread. Call it once, in main, before other threads start: they inherit
// the blocked signal. If the caller ignores SIGINT (a shell's background job), it stays ignored. `note`: printed on
// standard error.
void WatchInterrupts(std::string note);

// While this object lives, Ctrl-C first runs `clean_up`, in the signal's thread while the command is still running, and then
// prints `note` instead. For local variables; scopes nest.
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
