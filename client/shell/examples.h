// Examples of every command, for --help and the manual page.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace muster {

// Whole command lines, by command: "data import"; "" is the program itself.
const std::map<std::string, std::vector<std::string>>& Examples();

// Adds them to the help texts of `app` and all of its commands.
void AddExamples(CLI::App& app);

}  // namespace muster
