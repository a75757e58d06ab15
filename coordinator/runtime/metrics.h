// The coordinator's metrics, from common/metrics/catalogue.h.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/metrics/registry.h"
#include "coordinator/core/event.h"
#include "coordinator/core/gauges.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

// The catalog's name for what Step() measures.
const char* FamilyOf(Measure measure);

// Counters and histograms are thread-safe; Refresh is not concurrent with itself.
class CoordinatorMetrics {
 public:
  // `folder`: of the state, whose volume is watched; empty: none is.
  CoordinatorMetrics(const std::string& version, std::filesystem::path folder);

  void CountTransition(muster::v1::JobPhase phase);
  void CountStaleRequest(const std::string& kind);
  void CountAttemptEnd(AttemptEnd end);
  void ObserveQueueWaiting(absl::Duration wait);
  void ObserveJournalWrite(absl::Duration time);
  void Take(const Measured& measured);

  // Sets every gauge from the state as it is; series of ended jobs and forgotten workers go away.
  void Refresh(const State& state, const Soft& soft, absl::Time now);

  MetricRegistry& registry() { return metrics_; }

 private:
  MetricRegistry metrics_;
  const std::filesystem::path folder_;
  CounterFamily transitions_, stale_, attempts_;
  prometheus::Histogram& queue_wait_;
  prometheus::Histogram& journal_write_;
  prometheus::Gauge& state_free_;
  prometheus::Gauge& state_size_;
  std::map<Measure, CounterFamily> counters_;
  std::map<Measure, HistogramFamily> histograms_;
  std::map<std::string, GaugeRound> gauges_;  // by family
};

}  // namespace muster
