// muster version
#include <cstdio>
#include <nlohmann/json.hpp>

#include "client/commands/commands.h"
#include "common/exit_code.h"

namespace muster {

void AddVersionCommand(CLI::App& app, Cli& cli) {
  app.add_subcommand("version", "Print the version of this program")->fallthrough()->callback([&cli] {
    cli.action = [&cli]() -> absl::StatusOr<int> {
      const nlohmann::ordered_json json = {{"version", MUSTER_VERSION}};
      std::printf("%s", cli.output == OutputFormat::kTable ? "muster " MUSTER_VERSION "\n" : Format(json, cli.output).c_str());
      return kExitSucceeded;
    };
  });
  AsksNoCluster(app.get_subcommand("version"), cli);
}

}  // namespace muster
