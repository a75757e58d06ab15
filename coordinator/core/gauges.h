// The coordinator's gauges as values: what a scrape shows of the state as it is. Names and labels are those of
// common/metrics/catalogue.h; what is not in the result is not exported, so the series of ended jobs disappear.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

inline constexpr size_t kMaxMeasuredJobs = 1000;   // more would make each scrape slow, and nobody's dashboard better
inline constexpr size_t kMaxMeasuredQueues = 100;

struct GaugeSample {
  const char* family;
  std::vector<std::string> labels;  // values, in the catalogue's order
  double value = 0;
};

// Costs time in the number of active jobs and workers, not in that of ended ones.
std::vector<GaugeSample> GaugesOf(const State& state, const Soft& soft, absl::Time now);

}  // namespace muster
