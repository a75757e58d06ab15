// Every family of metrics of every program, declared once: name, type, unit, help, labels, buckets, programs. Programs
// register families only through common/metrics/registry.h, which accepts nothing that is not declared here.
// docs/reference/metrics.md is generated from it.
//
// A label has either a fixed set of values or a source: a sentence that says where its values come from and when they
// disappear, so that the number of series stays bounded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster {

enum class MetricType { kCounter, kGauge, kHistogram, kSummary };

enum class MetricProgram : unsigned { kCoordinator = 1, kData = 2, kWorker = 4 };
inline constexpr unsigned kCoordinatorServes = 1, kDataServes = 2, kWorkerServes = 4, kAllServe = 7;

// kStart: exists from the first scrape, with every value of a fixed set. kEvent: exists once it has a value.
enum class MetricPresence { kStart, kEvent };

struct MetricLabel {
  std::string_view name;
  std::vector<std::string_view> values;  // the closed set; empty: see `source`
  std::string_view source;
};

struct MetricFamily {
  std::string_view name;
  MetricType type = MetricType::kGauge;
  std::string_view unit;  // seconds, bytes, jobs, …
  std::string_view help;  // one sentence, ends with a full stop
  std::vector<MetricLabel> labels;
  std::vector<double> buckets;  // upper bounds of a histogram, ascending
  unsigned programs = 0;
  MetricPresence presence = MetricPresence::kStart;
};

// In the order of the documentation.
const std::vector<MetricFamily>& MetricCatalogue();
const MetricFamily* FindMetric(std::string_view name);  // null: not declared

std::string_view MetricTypeName(MetricType type);           // as in Prometheus' text format
std::string_view MetricProgramName(MetricProgram program);  // muster-coordinator

// Parts of the catalog.
std::vector<MetricFamily> CommonMetrics();
std::vector<MetricFamily> CoordinatorMetricFamilies();
std::vector<MetricFamily> JobMetricFamilies();
std::vector<MetricFamily> WorkerMetricFamilies();
std::vector<MetricFamily> DataMetricFamilies();

}  // namespace muster
