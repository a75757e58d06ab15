#include "coordinator/data/service/data_metrics.h"

#include <prometheus/gauge.h>

#include <string>

namespace muster {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::Registry;

Counter& AddCounter(Registry& registry, const std::string& name, const std::string& help, const Labels& labels = {}) {
  return BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

Histogram& AddHistogram(Registry& registry, const std::string& name, const std::string& help, double first) {
  Histogram::BucketBoundaries bounds;
  for (int i = 0; i < 12; ++i, first *= 4) bounds.push_back(first);
  return BuildHistogram().Name(name).Help(help).Register(registry).Add({}, bounds);
}

constexpr const char* kBlobHelp = "Bytes of blobs, by direction seen from the server.";
constexpr const char* kStaleHelp = "Requests of attempts that are over, refused.";

}  // namespace

DataMetrics::DataMetrics(Registry& registry)
    : import_records(AddCounter(registry, "muster_import_records_total", "Records read by imports.")),
      import_seconds(AddHistogram(registry, "muster_import_seconds", "Seconds of whole imports that succeeded.", 0.01)),
      stream_steps(AddCounter(registry, "muster_stream_steps_total", "Shares of steps sent to ranks.")),
      stream_bytes(AddCounter(registry, "muster_stream_bytes_total", "Bytes of shares sent to ranks.")),
      stream_seconds(AddHistogram(registry, "muster_stream_seconds", "Seconds to plan a rank's share of a step.", 1e-5)),
      blob_bytes_in(AddCounter(registry, "muster_blob_bytes_total", kBlobHelp, {{"direction", "in"}})),
      blob_bytes_out(AddCounter(registry, "muster_blob_bytes_total", kBlobHelp, {{"direction", "out"}})),
      stale_streams(AddCounter(registry, "muster_stale_requests_total", kStaleHelp, {{"kind", "stream"}})),
      stale_evaluations(AddCounter(registry, "muster_stale_requests_total", kStaleHelp, {{"kind", "evaluation"}})) {
  prometheus::BuildGauge()
      .Name("muster_build_info")
      .Help("Always 1; the labels say what runs.")
      .Register(registry)
      .Add({{"program", "muster-data"}, {"version", MUSTER_VERSION}})
      .Set(1);
}

}  // namespace muster
