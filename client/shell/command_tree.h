// The commands and flags of a program as plain data, from which completion and the manual page are generated.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace muster {

struct FlagInfo {
  std::vector<std::string> names;  // "-h", "--help"; for a positional, its label: "JOB"
  std::string description;
  std::string value;                 // how --help names its value: "FILE"; empty for a flag without a value
  std::vector<std::string> choices;  // the allowed values; empty: any
  bool positional = false;
};

struct CommandInfo {
  std::string path;  // "muster data import"
  std::string name, description;
  std::string footer;           // examples
  std::vector<FlagInfo> flags;  // including those of the commands above it
  std::vector<CommandInfo> commands;
};

CommandInfo CommandTree(CLI::App& app);

}  // namespace muster
