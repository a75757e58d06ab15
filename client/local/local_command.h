// muster local [--slots N] [--state DIR] [--port P] [-- COMMAND...]
#pragma once

#include <functional>

#include "absl/status/statusor.h"

namespace CLI {
class App;
}

namespace muster {

// Sets `action` to a function that runs the command and returns its exit code: Cli::action of client/cli.h.
void AddLocalCommand(CLI::App& app, std::function<absl::StatusOr<int>()>& action);

}  // namespace muster
