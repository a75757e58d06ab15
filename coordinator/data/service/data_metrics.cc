#include "coordinator/data/service/data_metrics.h"

namespace muster {

DataMetrics::DataMetrics(MetricRegistry& metrics)
    : import_records(metrics.AddCounter("muster_import_records_total")),
      import_seconds(metrics.AddHistogram("muster_import_seconds")),
      stream_steps(metrics.AddCounter("muster_stream_steps_total")),
      stream_bytes(metrics.AddCounter("muster_stream_bytes_total")),
      stream_seconds(metrics.AddHistogram("muster_stream_seconds")),
      plan_seconds(metrics.AddHistogram("muster_plan_seconds")),
      blob_bytes_in(metrics.Counters("muster_blob_bytes_total").With({"in"})),
      blob_bytes_out(metrics.Counters("muster_blob_bytes_total").With({"out"})),
      stale_streams(metrics.Counters("muster_stale_requests_total", /*preset=*/false).With({"stream"})),
      stale_evaluations(metrics.Counters("muster_stale_requests_total", /*preset=*/false).With({"evaluation"})),
      garbage_bytes(metrics.Counters("muster_garbage_bytes_total")) {}

}  // namespace muster
