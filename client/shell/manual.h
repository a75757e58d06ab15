// The manual page of a program, made from its own help.
#pragma once

#include <string>

#include "client/shell/command_tree.h"

namespace muster {

// The manual page in roff, for section 1. `version`: "0.1.0".
std::string ManualPage(const CommandInfo& program, const std::string& version);

}  // namespace muster
