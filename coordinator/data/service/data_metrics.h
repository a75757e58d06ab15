// The data server's metrics, except those of its stores (store_watch.h).
#pragma once

#include "common/metrics/registry.h"

namespace muster {

struct DataMetrics {
  explicit DataMetrics(MetricRegistry& metrics);

  prometheus::Counter& import_records;
  prometheus::Histogram& import_seconds;
  prometheus::Counter& stream_steps;
  prometheus::Counter& stream_bytes;
  prometheus::Histogram& stream_seconds;  // making of one rank's share of a step
  prometheus::Histogram& plan_seconds;    // planning of a step for all ranks
  prometheus::Counter& blob_bytes_in;
  prometheus::Counter& blob_bytes_out;
  prometheus::Counter& stale_streams;
  prometheus::Counter& stale_evaluations;
  CounterFamily garbage_bytes;  // by kind
};

}  // namespace muster
