// Hash maps with strings as keys that are looked up by std::string_view, which Debian's Abseil knows as another type.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "absl/hash/hash.h"

namespace muster {

struct StringKeyHash {
  using is_transparent = void;
  size_t operator()(std::string_view key) const { return absl::Hash<std::string_view>()(key); }
};

using StringKeyEqual = std::equal_to<>;

}  // namespace muster
