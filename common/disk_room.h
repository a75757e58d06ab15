// Whether a volume still has room for what may be left out: logs, audit lines, histories. They stop first, so that what
// is left serves what must not be lost.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace muster {

using HasRoom = std::function<bool()>;  // any thread

// At least `least` bytes are free in the folder's volume; true where that cannot be found out.
HasRoom RoomIn(const std::filesystem::path& folder, uint64_t least);

inline HasRoom AlwaysRoom() {
  return [] { return true; };
}

}  // namespace muster
