// Debian builds Abseil with its own string_view, other distributions with std::string_view. Our interfaces use
// std::string_view; these functions convert where one is passed to Abseil or comes from it, at no cost.
#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace muster {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace muster
