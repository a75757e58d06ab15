// What the commands of `muster` share: global flags, and how a command hands over its work.
//
// A command registers itself: void AddXCommand(CLI::App& app, Cli& cli). Its CLI11 callback sets `cli.action`;
// main runs the action once the whole command line is known to be right.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/output.h"

namespace muster {

struct Cli {
  ConnectionFlags connection;
  OutputFormat output = OutputFormat::kTable;
  // Returns the exit code (common/exit_code.h), or an error that main prints in one line.
  std::function<absl::StatusOr<int>()> action;
};

}  // namespace muster
