// Which tool arguments are of.
#pragma once

#include <string>

#include "client/init/arguments.h"

namespace muster {

// A profile's name. The program of a command line decides; without one, arguments that one tool alone has. Empty: they
// fit none, or several.
std::string DetectTool(const ToolArguments& arguments);

}  // namespace muster
