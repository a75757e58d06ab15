// The coordinator's metrics, from common/metrics/catalogue.h.
#pragma once

#include <filesystem>
#include <functional>
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

// The catalog's name of a measure of Step().
const char* FamilyOf(Measure measure);

// Counters and histograms are thread-safe; SetGauges is not concurrent with itself.
class CoordinatorMetrics {
 public:
  // `folder`: the state folder, whose volume is watched; empty: no volume is watched.
  CoordinatorMetrics(const std::string& version, std::filesystem::path folder);

  void CountTransition(muster::v1::JobPhase phase);
  void CountStaleRequest(const std::string& kind);
  void CountAttemptEnd(AttemptEnd end);
  void ObserveQueueWaiting(absl::Duration wait);
  void ObserveJournalWrite(absl::Duration time);
  void ObserveTurn(absl::Duration time);  // of the event loop
  void ObservePlan(absl::Duration time);
  void Take(const Measured& measured);

  // Sets every gauge; removes the series of ended jobs and forgotten workers.
  void SetGauges(const std::vector<GaugeSample>& samples);

  MetricRegistry& registry() { return metrics_; }
  // Collects the metrics for a scrape. Takes the gauges from the loop; if `take` returns none, they keep their values.
  std::shared_ptr<prometheus::Registry> WithGauges(std::function<std::vector<GaugeSample>()> take);

 private:
  MetricRegistry metrics_;
  const std::filesystem::path folder_;
  CounterFamily transitions_, stale_, attempts_;
  prometheus::Histogram& queue_wait_;
  prometheus::Histogram& journal_write_;
  prometheus::Histogram& turn_;
  prometheus::Histogram& plan_;
  prometheus::Gauge& state_free_;
  prometheus::Gauge& state_size_;
  std::map<Measure, CounterFamily> counters_;
  std::map<Measure, HistogramFamily> histograms_;
  std::map<std::string, GaugeRound> gauges_;  // by family
};

}  // namespace muster
