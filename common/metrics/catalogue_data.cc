// The data server's families.
#include "common/metrics/catalogue.h"

namespace muster {
namespace {

// Twelve bounds, each four times the previous one.
std::vector<double> BucketsFrom(double first) {
  std::vector<double> bounds;
  for (int i = 0; i < 12; ++i, first *= 4) bounds.push_back(first);
  return bounds;
}

}  // namespace

std::vector<MetricFamily> DataMetricFamilies() {
  return {
      {.name = "muster_import_records_total",
       .type = MetricType::kCounter,
       .unit = "records",
       .help = "Records read by imports.",
       .programs = kDataServes},
      {.name = "muster_import_seconds",
       .type = MetricType::kHistogram,
       .unit = "seconds",
       .help = "Duration of imports that succeeded.",
       .buckets = BucketsFrom(0.01),
       .programs = kDataServes},
      {.name = "muster_stream_steps_total",
       .type = MetricType::kCounter,
       .unit = "shares",
       .help = "Shares of steps sent to ranks.",
       .programs = kDataServes},
      {.name = "muster_stream_bytes_total",
       .type = MetricType::kCounter,
       .unit = "bytes",
       .help = "Bytes of shares sent to ranks.",
       .programs = kDataServes},
      {.name = "muster_stream_seconds",
       .type = MetricType::kHistogram,
       .unit = "seconds",
       .help = "Time to make a rank's share of a step, including the plan if no other rank requested it before.",
       .buckets = BucketsFrom(1e-5),
       .programs = kDataServes},
      {.name = "muster_plan_seconds",
       .type = MetricType::kHistogram,
       .unit = "seconds",
       .help = "Time to plan a step's global batch and to assign it to ranks.",
       .buckets = BucketsFrom(1e-5),
       .programs = kDataServes},
      {.name = "muster_blob_bytes_total",
       .type = MetricType::kCounter,
       .unit = "bytes",
       .help = "Bytes of blobs, by direction as seen from the server.",
       .labels = {{"direction", {"in", "out"}, ""}},
       .programs = kDataServes},
      {.name = "muster_datasets",
       .type = MetricType::kGauge,
       .unit = "datasets",
       .help = "Datasets that have a name.",
       .programs = kDataServes},
      {.name = "muster_models",
       .type = MetricType::kGauge,
       .unit = "models",
       .help = "Models and tokenizers that have a name.",
       .programs = kDataServes},
      {.name = "muster_store_bytes",
       .type = MetricType::kGauge,
       .unit = "bytes",
       .help = "Bytes of files in the state folder, updated every minute.",
       .labels = {{"kind", {"datasets", "tokens", "blobs"}, ""}},
       .programs = kDataServes},
      {.name = "muster_garbage_bytes_total",
       .type = MetricType::kCounter,
       .unit = "bytes",
       .help = "Bytes of removed garbage.",
       .labels = {{"kind", {"datasets", "tokens", "blobs", "uploads"}, ""}},
       .programs = kDataServes},
  };
}

}  // namespace muster
