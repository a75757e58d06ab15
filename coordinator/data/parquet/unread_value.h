// How muster-parquet writes a value of a type that no schema reads: {"a value of type timestamp[ms]": true}.
#pragma once

#include <string_view>

namespace muster {

inline constexpr std::string_view kUnreadValue = "a value of type ";

}  // namespace muster
