#include "worker/agent/process_usage.h"

#include <unistd.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files.h"

namespace muster {

std::optional<ProcessUsage> UsageFromStat(absl::string_view stat, int64_t page_bytes, int64_t ticks_per_second) {
  const size_t name_end = stat.rfind(')');  // a program's name may contain anything
  if (name_end == absl::string_view::npos) return std::nullopt;
  // From field 3 (state) on; see proc(5).
  const std::vector<absl::string_view> fields = absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipWhitespace());
  uint64_t user = 0, system = 0;
  int64_t resident_pages = 0;
  if (fields.size() < 22 || !absl::SimpleAtoi(fields[11], &user) || !absl::SimpleAtoi(fields[12], &system) ||
      !absl::SimpleAtoi(fields[21], &resident_pages) || resident_pages < 0 || ticks_per_second <= 0) {
    return std::nullopt;
  }
  return ProcessUsage{static_cast<uint64_t>(resident_pages * page_bytes),
                      static_cast<double>(user + system) / static_cast<double>(ticks_per_second)};
}

std::optional<ProcessUsage> UsageOf(pid_t pid) {
  const auto stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return std::nullopt;
  return UsageFromStat(*stat, sysconf(_SC_PAGE_SIZE), sysconf(_SC_CLK_TCK));
}

}  // namespace muster
