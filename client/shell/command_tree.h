// The commands and flags of a program as plain data, for what is generated from them: completion and the manual page.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace muster {

struct FlagInfo {
  std::vector<std::string> names;  // "-h", "--help"; of a positional its label: "JOB"
  std::string description;
  std::string value;                 // how --help names its value: "FILE"; empty for a flag without a value
  std::vector<std::string> choices;  // of a closed choice
  bool positional = false;
};

struct CommandInfo {
  std::string path;  // "muster data import"
  std::string name, description;
  std::string footer;           // examples
  std::vector<FlagInfo> flags;  // those of the commands above it, too
  std::vector<CommandInfo> commands;
};

CommandInfo CommandTree(CLI::App& app);

}  // namespace muster
