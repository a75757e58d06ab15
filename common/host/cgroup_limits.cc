#include "common/host/cgroup_limits.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "absl/strings/numbers.h"

namespace muster {
namespace {

// The words of a file in /sys. Its size is not known before it is read.
std::string Word(const std::filesystem::path& file, int index) {
  std::ifstream stream(file);
  std::string word;
  for (int i = 0; i <= index; ++i) {
    if (!(stream >> word)) return "";
  }
  return word;
}

std::optional<uint64_t> Number(const std::string& word) {
  uint64_t value = 0;  // "max" and -1 (unlimited) are not numbers
  return absl::SimpleAtoi(word, &value) ? std::optional<uint64_t>(value) : std::nullopt;
}

}  // namespace

CgroupLimits ReadCgroupLimits(const std::filesystem::path& root) {
  CgroupLimits limits;
  std::optional<uint64_t> quota = Number(Word(root / "cpu.max", 0));
  std::optional<uint64_t> period = Number(Word(root / "cpu.max", 1));
  if (!quota.has_value()) {
    quota = Number(Word(root / "cpu/cpu.cfs_quota_us", 0));
    period = Number(Word(root / "cpu/cpu.cfs_period_us", 0));
  }
  if (quota.has_value() && period.value_or(0) > 0) {
    limits.cores = static_cast<uint32_t>(std::max<uint64_t>(1, *quota / *period));
  }
  limits.memory_bytes = Number(Word(root / "memory.max", 0));
  if (!limits.memory_bytes.has_value()) {
    const std::optional<uint64_t> old = Number(Word(root / "memory/memory.limit_in_bytes", 0));
    // Version 1 writes "unlimited" as the largest number of whole pages.
    if (old.has_value() && *old < uint64_t{1} << 62) limits.memory_bytes = old;
  }
  return limits;
}

}  // namespace muster
