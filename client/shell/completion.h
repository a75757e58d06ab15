// Scripts with which a shell completes commands, flags and closed choices, and file names for other values.
#pragma once

#include <string>

#include "client/shell/command_tree.h"

namespace muster {

enum class Shell { kBash, kZsh, kFish };

// For bash: to be sourced. For zsh: a file `_muster` in a folder of `fpath`. For fish: `muster.fish` in its folder of
// completions.
std::string CompletionScript(const CommandInfo& program, Shell shell);

}  // namespace muster
