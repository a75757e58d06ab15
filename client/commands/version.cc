// muster version
#include <cstdio>

#include "client/commands/commands.h"
#include "common/exit_code.h"

namespace muster {

void AddVersionCommand(CLI::App& app, Cli& cli) {
  app.add_subcommand("version", "Print the version of this program")->fallthrough()->callback([&cli] {
    cli.action = []() -> absl::StatusOr<int> {
      std::printf("muster %s\n", MUSTER_VERSION);
      return kExitSucceeded;
    };
  });
}

}  // namespace muster
