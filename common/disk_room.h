// Whether a volume still has room for optional data: logs, audit lines, histories. These stop first on a full disk, so that the
// remaining space is used for data that must not be lost.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace muster {

using HasRoom = std::function<bool()>;  // any thread

// Whether at least `least` bytes are free on the folder's volume; true if that cannot be determined.
HasRoom RoomIn(const std::filesystem::path& folder, uint64_t least);

inline HasRoom AlwaysRoom() {
  return [] { return true; };
}

}  // namespace muster
