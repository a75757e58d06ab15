// The coordinator's gauges as values, computed from the state for a scrape. Names and labels are those of
// common/metrics/catalogue.h; only values in the result are exported, so the series of ended jobs disappear.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

inline constexpr size_t kMaxMeasuredJobs = 1000;   // more would make scrapes slow and dashboards unreadable
inline constexpr size_t kMaxMeasuredQueues = 100;

struct GaugeSample {
  const char* family;
  std::vector<std::string> labels;  // values, in the catalogue's order
  double value = 0;
};

// Takes time proportional to the number of active jobs and workers, not of ended jobs.
std::vector<GaugeSample> GaugesOf(const State& state, const Soft& soft, absl::Time now);

}  // namespace muster
