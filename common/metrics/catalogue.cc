#include "common/metrics/catalogue.h"

#include <iterator>
#include <utility>

namespace muster {
namespace {

std::vector<MetricFamily> Join() {
  std::vector<MetricFamily> all;
  for (auto part : {CommonMetrics, CoordinatorMetricFamilies, JobMetricFamilies, WorkerMetricFamilies,
                    DataMetricFamilies}) {
    std::vector<MetricFamily> families = part();
    std::move(families.begin(), families.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace

std::vector<MetricFamily> CommonMetrics() {
  return {
      {.name = "muster_build_info",
       .type = MetricType::kGauge,
       .unit = "1",
       .help = "Always 1; the labels say what runs.",
       .labels = {{"program", {"muster-coordinator", "muster-data", "muster-worker"}, ""},
                  {"version", {}, "the program's version: one series per process"}},
       .programs = kAllServe},
      {.name = "muster_certificate_expiry_timestamp_seconds",
       .type = MetricType::kGauge,
       .unit = "seconds since 1970",
       .help = "Expiry of the certificate that this process presents.",
       .programs = kAllServe,
       .presence = MetricPresence::kEvent},
      {.name = "muster_state_free_bytes",
       .type = MetricType::kGauge,
       .unit = "bytes",
       .help = "Free space of the volume that holds the state folder.",
       .programs = kCoordinatorServes | kDataServes},
      {.name = "muster_state_size_bytes",
       .type = MetricType::kGauge,
       .unit = "bytes",
       .help = "Size of the volume that holds the state folder.",
       .programs = kCoordinatorServes | kDataServes},
      {.name = "muster_stale_requests_total",
       .type = MetricType::kCounter,
       .unit = "requests",
       .help = "Messages of ended attempts, which were refused.",
       .labels = {{"kind",
                   {"prepared", "refused", "rank_started", "rank_exited", "checkpoint", "checkpoint_refused",
                    "evaluation", "exported",
                    "epoch_closed", "trace", "progress", "unknown", "stream"},
                   "the coordinator has all but stream; the data server has stream and evaluation"}},
       .programs = kCoordinatorServes | kDataServes},
      {.name = "muster_rpc_requests_total",
       .type = MetricType::kCounter,
       .unit = "requests",
       .help = "Calls that were answered, by method and gRPC status code.",
       .labels = {{"method", {}, "the services' methods, as Service/Method; from a method's first call on"},
                  {"code", {}, "the 17 codes of gRPC, as OK or NOT_FOUND; from its first answer on"}},
       .programs = kCoordinatorServes | kDataServes,
       .presence = MetricPresence::kEvent},
      {.name = "muster_rpc_seconds",
       .type = MetricType::kHistogram,
       .unit = "seconds",
       .help = "Time from a call's arrival to its answer, or to the end of a stream.",
       .labels = {{"method", {}, "as for muster_rpc_requests_total"}},
       .buckets = {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600},
       .programs = kCoordinatorServes | kDataServes,
       .presence = MetricPresence::kEvent},
      {.name = "muster_rpc_rejections_total",
       .type = MetricType::kCounter,
       .unit = "requests",
       .help = "Calls that were refused before their handler saw them.",
       .labels = {{"reason", {"unauthenticated", "denied", "rate_limited", "too_large"}, ""}},
       .programs = kCoordinatorServes | kDataServes,
       .presence = MetricPresence::kEvent},
      {.name = "exposer_transferred_bytes_total",
       .type = MetricType::kCounter,
       .unit = "bytes",
       .help = "Bytes of answers to scrapes.",
       .programs = kAllServe},
      {.name = "exposer_scrapes_total",
       .type = MetricType::kCounter,
       .unit = "scrapes",
       .help = "Scrapes that were answered.",
       .programs = kAllServe},
      {.name = "exposer_request_latencies",
       .type = MetricType::kSummary,
       .unit = "microseconds",
       .help = "Time to serve a scrape.",
       .labels = {{"quantile", {}, "0.5, 0.9, 0.99"}},
       .programs = kAllServe},
  };
}

const std::vector<MetricFamily>& MetricCatalogue() {
  static const auto* const catalogue = new std::vector<MetricFamily>(Join());
  return *catalogue;
}

const MetricFamily* FindMetric(std::string_view name) {
  for (const MetricFamily& family : MetricCatalogue()) {
    if (family.name == name) return &family;
  }
  return nullptr;
}

std::string_view MetricTypeName(MetricType type) {
  switch (type) {
    case MetricType::kCounter: return "counter";
    case MetricType::kGauge: return "gauge";
    case MetricType::kHistogram: return "histogram";
    case MetricType::kSummary: return "summary";
  }
  return "untyped";
}

std::string_view MetricProgramName(MetricProgram program) {
  switch (program) {
    case MetricProgram::kCoordinator: return "muster-coordinator";
    case MetricProgram::kData: return "muster-data";
    case MetricProgram::kWorker: return "muster-worker";
  }
  return "unknown";
}

}  // namespace muster
