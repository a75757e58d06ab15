// Suggestions for a wrong name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster {

// The name nearest to `name`, within a third of its length in edits (two swapped letters are near; case does not count);
// empty: none is near.
std::string NearestName(std::string_view name, const std::vector<std::string>& names);

// `Allowed: a, b. Did you mean "a"?`: all names of a closed set, and the nearest to a wrong one; no name is near an empty one.
std::string AllowedNames(std::string_view wrong, const std::vector<std::string>& names);

// Like the above, for an open set: `There are: a, b. Did you mean "a"?`, or `There are none.`; shows at most ten names.
std::string WhatExists(std::string_view name, const std::vector<std::string>& names);

}  // namespace muster
