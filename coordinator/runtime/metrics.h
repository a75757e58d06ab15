// Every metric of the coordinator, declared once. Thread-safe.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "coordinator/core/event.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

class CoordinatorMetrics {
 public:
  CoordinatorMetrics(std::shared_ptr<prometheus::Registry> registry, const std::string& version);

  void CountTransition(muster::v1::JobPhase phase);
  void CountStaleRequest(const std::string& kind);
  void CountAttemptEnd(AttemptEnd end);
  void ObserveQueueWaiting(absl::Duration wait);
  void ObserveJournalWrite(absl::Duration time);

  // Sets every gauge from the state as it is; labels of ended jobs and forgotten workers go away. Not concurrently.
  void Refresh(const State& state, const Soft& soft, absl::Time now);

 private:
  template <typename T>
  using Family = prometheus::Family<T>;
  // Gauges with one label of changing values; what is not set in a round is removed.
  class Round {
   public:
    Round(Family<prometheus::Gauge>& family, std::string label) : family_(family), label_(std::move(label)) {}
    void Set(const std::string& value, double number);
    void End();

   private:
    Family<prometheus::Gauge>& family_;
    const std::string label_;
    std::map<std::string, prometheus::Gauge*> gauges_;
    std::map<std::string, double> next_;
  };

  std::shared_ptr<prometheus::Registry> registry_;
  Family<prometheus::Counter>& transitions_;
  Family<prometheus::Counter>& stale_;
  Family<prometheus::Counter>& attempts_;
  prometheus::Histogram& queue_wait_;
  prometheus::Histogram& journal_write_;
  prometheus::Gauge& epoch_;
  Round jobs_, workers_, slots_, heartbeat_age_, job_step_, job_loss_;
};

}  // namespace muster
