// muster data import NAME PATH...
#pragma once

#include "client/cli.h"

namespace muster {

void AddImportCommand(CLI::App& data, Cli& cli);

}  // namespace muster
