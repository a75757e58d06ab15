// The data server's families.
#include "common/metrics/catalogue.h"

namespace muster {
namespace {

// Twelve bounds, each four times the one before.
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
       .help = "Seconds of whole imports that succeeded.",
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
       .help = "Seconds to make a rank's share of a step, with its plan where no other rank asked before.",
       .buckets = BucketsFrom(1e-5),
       .programs = kDataServes},
      {.name = "muster_plan_seconds",
       .type = MetricType::kHistogram,
       .unit = "seconds",
       .help = "Seconds to plan a step's global batch and its cut into ranks.",
       .buckets = BucketsFrom(1e-5),
       .programs = kDataServes},
      {.name = "muster_blob_bytes_total",
       .type = MetricType::kCounter,
       .unit = "bytes",
       .help = "Bytes of blobs, by direction seen from the server.",
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
       .help = "Bytes of files in the state folder, looked up every minute.",
       .labels = {{"kind", {"datasets", "tokens", "blobs"}, ""}},
       .programs = kDataServes},
      {.name = "muster_garbage_bytes_total",
       .type = MetricType::kCounter,
       .unit = "bytes",
       .help = "Bytes that nothing needed any more, removed.",
       .labels = {{"kind", {"datasets", "tokens", "blobs", "uploads"}, ""}},
       .programs = kDataServes},
  };
}

}  // namespace muster
