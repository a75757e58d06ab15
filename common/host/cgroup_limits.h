// Limits of the container that this process runs in: of its control group, version 2 or 1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace muster {

struct CgroupLimits {
  std::optional<uint32_t> cores;  // rounded down, at least 1: threads above the limit would be throttled
  std::optional<uint64_t> memory_bytes;
};

// `root`: where control groups are mounted. A value that is unlimited or cannot be read is absent.
CgroupLimits ReadCgroupLimits(const std::filesystem::path& root = "/sys/fs/cgroup");

}  // namespace muster
