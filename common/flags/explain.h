// Error texts for a wrong command line, made from the tree of commands and flags. CLI11's own messages are never shown.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace muster {

std::string CommandPath(const CLI::App& app);  // "muster data import"

// Named commands of `app`, not its groups of options.
std::vector<CLI::App*> CommandsOf(const CLI::App& app);
// Options of `command`, of its groups, and of the commands above it whose flags it takes.
std::vector<CLI::Option*> OptionsOf(CLI::App& command);
std::vector<std::string> NamesOf(const std::vector<CLI::Option*>& options);  // "--set", "-f", …; help last
std::string LabelOf(const CLI::Option& option);                              // "--set", or "JOB" for a positional

std::string TypeOf(CLI::Option& option);  // "RANK", without what its validators add for --help

// The values of a closed choice, in the order of --help; empty where any value may be right.
std::vector<std::string> ChoicesOf(CLI::Option& option);

// What the validators and the type of `option` say about `value`; "" if they find no problem.
std::string WrongValue(CLI::Option& option, const std::string& value);
// The values as they were given: CLI11 changes an option's results while it checks them.
using GivenValues = std::map<const CLI::Option*, std::vector<std::string>>;

// The text for an error that CLI11 threw while it parsed `command`.
std::string Explain(const CLI::ParseError& error, CLI::App& command, const GivenValues& given);

}  // namespace muster
