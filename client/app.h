// The command line of `muster` as a whole.
#pragma once

#include "client/cli.h"
#include "common/flags/parse_flags.h"

namespace muster {

// Adds every global flag and every command.
void AddMuster(CLI::App& app, Cli& cli);

// Wrong commands that users are likely to try, and the right ones.
const CommandAdvice& MusterAdvice();

// Runs `cli.action`: prints its error in one line, and returns the exit code.
int RunAction(const Cli& cli, const std::string& command);

}  // namespace muster
