// muster completion, muster manual: files that packages install with the program.
#include <cstdio>
#include <memory>

#include "client/commands/commands.h"
#include "client/shell/command_tree.h"
#include "client/shell/completion.h"
#include "client/shell/manual.h"
#include "common/exit_code.h"
#include "common/flags/parse_flags.h"

namespace muster {

void AddShellCommands(CLI::App& app, Cli& cli) {
  auto shell = std::make_shared<Shell>(Shell::kBash);
  CLI::App* completion =
      app.add_subcommand("completion", "Print the script with which a shell completes commands and flags")->fallthrough();
  AddChoice(*completion, "shell", *shell, {{"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}}, "The shell")
      ->required()
      ->type_name("SHELL");
  completion->callback([&app, &cli, shell] {
    cli.action = [&app, shell]() -> absl::StatusOr<int> {
      std::printf("%s", CompletionScript(CommandTree(app), *shell).c_str());
      return kExitSucceeded;
    };
  });
  CLI::App* manual = app.add_subcommand("manual", "Print the manual page, for man")->fallthrough();
  manual->callback([&app, &cli] {
    cli.action = [&app]() -> absl::StatusOr<int> {
      std::printf("%s", ManualPage(CommandTree(app), MUSTER_VERSION).c_str());
      return kExitSucceeded;
    };
  });
  for (CLI::App* command : {completion, manual}) {
    AsksNoCluster(command, cli);
    PrintsItsOwnFormat(command, cli);
  }
}

}  // namespace muster
