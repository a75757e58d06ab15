// Shared by the commands of `muster`: global flags, and how a command passes its work to main.
//
// A command registers itself: void AddXCommand(CLI::App& app, Cli& cli). Its CLI11 callback sets `cli.action`; main
// runs the action after the whole command line was checked.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/output.h"

namespace muster {

struct Cli {
  ConnectionFlags connection;
  OutputFormat output = OutputFormat::kTable;
  bool verbose = false;  // log lines of gRPC and of the connection on standard error
  // Returns the exit code (common/exit_code.h), or an error that main prints in one line.
  std::function<absl::StatusOr<int>()> action;
  // The options themselves, for commands that refuse them.
  std::vector<CLI::Option*> connection_flags;  // --address, --certs, --token-file, --insecure
  CLI::Option* output_flag = nullptr;
};

// This command contacts no cluster: it refuses the flags that name one.
inline void AsksNoCluster(CLI::App* command, const Cli& cli) {
  for (CLI::Option* flag : cli.connection_flags) command->excludes(flag);
}

// This command prints text in its own format: it refuses --output.
inline void PrintsItsOwnFormat(CLI::App* command, const Cli& cli) {
  if (cli.output_flag != nullptr) command->excludes(cli.output_flag);
}

}  // namespace muster
