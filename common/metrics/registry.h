// Programs make their metrics with this, by name, from the catalog. The program ends with a message if a name is not
// declared, or is declared with another type or for other programs, or if a label's value is outside its fixed set.
// Such mistakes show at the first start.
//
//   MetricRegistry metrics(MetricProgram::kCoordinator);
//   CounterFamily transitions = metrics.Counters("muster_job_transitions_total");
//   transitions.With({"queued"}).Increment();   // values in the order of the catalog's labels
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
#include <vector>

#include "common/metrics/catalogue.h"

namespace muster {

// The labels of a series: the catalog's names with `values`. Ends the program if they do not fit.
prometheus::Labels LabelsOf(const MetricFamily& declared, const std::vector<std::string>& values);

// Handles, cheap to copy; the registry must outlive them. Thread-safe.
class CounterFamily {
 public:
  CounterFamily(const MetricFamily& declared, prometheus::Family<prometheus::Counter>& family)
      : declared_(&declared), family_(&family) {}
  prometheus::Counter& With(const std::vector<std::string>& values) const;

 private:
  const MetricFamily* declared_;
  prometheus::Family<prometheus::Counter>* family_;
};
class HistogramFamily {
 public:
  HistogramFamily(const MetricFamily& declared, prometheus::Family<prometheus::Histogram>& family)
      : declared_(&declared), family_(&family) {}
  prometheus::Histogram& With(const std::vector<std::string>& values) const;

 private:
  const MetricFamily* declared_;
  prometheus::Family<prometheus::Histogram>* family_;
};

// Gauges whose series come and go: a series that is not set between two calls of End is removed. Not thread-safe.
class GaugeRound {
 public:
  GaugeRound(const MetricFamily& declared, prometheus::Family<prometheus::Gauge>& family)
      : declared_(&declared), family_(&family) {}
  void Set(const std::vector<std::string>& values, double number);
  void End();

 private:
  struct Series {
    prometheus::Gauge* gauge = nullptr;
    bool set = false;
  };
  const MetricFamily* declared_;
  prometheus::Family<prometheus::Gauge>* family_;
  std::map<std::vector<std::string>, Series> series_;
};

class MetricRegistry {
 public:
  // Also registers muster_build_info.
  MetricRegistry(MetricProgram program, const std::string& version);

  // Families with labels. Counters whose labels all have fixed sets start at 0, unless `preset` is false.
  CounterFamily Counters(std::string_view name, bool preset = true);
  HistogramFamily Histograms(std::string_view name);
  GaugeRound Gauges(std::string_view name);
  // Families without labels.
  prometheus::Counter& AddCounter(std::string_view name);
  prometheus::Histogram& AddHistogram(std::string_view name);
  prometheus::Gauge& AddGauge(std::string_view name);

  const std::shared_ptr<prometheus::Registry>& registry() const { return registry_; }
  MetricProgram program() const { return program_; }

 private:
  const MetricFamily& Declared(std::string_view name, MetricType type) const;

  const MetricProgram program_;
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
};

}  // namespace muster
