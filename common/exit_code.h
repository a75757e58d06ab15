// Exit codes of every Muster program. Stable: scripts depend on them.
#pragma once

#include "absl/status/status.h"

namespace muster {

enum ExitCode : int {
  kExitSucceeded = 0,
  kExitJobFailed = 1,    // the job failed; a server program ended with an error
  kExitUsage = 2,        // wrong flags, a wrong file, a wrong value
  kExitCancelled = 3,
  kExitTimedOut = 4,
  kExitUnreachable = 5,  // no answer from the cluster
  kExitRefused = 6,  // the cluster refused: not found, not allowed, no space
  kExitInterrupted = 130,  // Ctrl-C; shells use 128 + SIGINT
};

// The exit code of a program that ends with this error.
int ExitCodeFor(const absl::Status& status);

}  // namespace muster
