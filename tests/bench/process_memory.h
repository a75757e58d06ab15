// Reads this process's memory use from /proc.
#pragma once

#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "common/exit_code.h"

namespace muster {

// `name` of /proc/self/status (VmRSS, VmHWM, RssFile), in MiB. Ends the program if there is none.
inline double StatusMib(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::strtod(line.c_str() + name.size() + 1, nullptr) / 1024;
  }
  std::fprintf(stderr, "/proc/self/status has no %s\n", name.c_str());
  std::exit(kExitJobFailed);
}

// Resets VmHWM to the present size.
inline void BeginPeak() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;
}

}  // namespace muster
