// Recognizes the tool that arguments belong to.
#pragma once

#include <string>

#include "client/init/arguments.h"

namespace muster {

// A profile's name. The program of a command line decides; without one, arguments that only one tool has. Empty: they
// fit no tool, or several.
std::string DetectTool(const ToolArguments& arguments);

}  // namespace muster
