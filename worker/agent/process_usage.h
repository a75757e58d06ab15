// The resources that a process uses.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace muster {

struct ProcessUsage {
  uint64_t resident_bytes = 0;
  double cpu_seconds = 0;  // of all its threads, in user mode and system mode
};
// Nothing if there is no such process.
std::optional<ProcessUsage> UsageOf(pid_t pid);

// Parses the text of /proc/PID/stat. Nothing if the text has another form.
std::optional<ProcessUsage> UsageFromStat(absl::string_view stat, int64_t page_bytes, int64_t ticks_per_second);

}  // namespace muster
