// Debian builds Abseil with a string_view of its own, other distributions with std::string_view. Our interfaces use
// std::string_view; where one is handed to Abseil or comes from it, these convert, at no cost.
#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace muster {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace muster
