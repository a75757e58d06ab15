// Hash maps with string keys and look-up by std::string_view, which is not absl::string_view in Debian's Abseil.
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
