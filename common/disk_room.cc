#include "common/disk_room.h"

#include "common/files.h"

namespace muster {

HasRoom RoomIn(const std::filesystem::path& folder, uint64_t least) {
  return [folder, least] {
    const absl::StatusOr<uint64_t> free = FreeBytes(folder);
    return !free.ok() || *free >= least;
  };
}

}  // namespace muster
