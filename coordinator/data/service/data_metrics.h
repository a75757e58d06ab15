// Every metric of the data server.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>

namespace muster {

struct DataMetrics {
  explicit DataMetrics(prometheus::Registry& registry);

  prometheus::Counter& import_records;
  prometheus::Histogram& import_seconds;
  prometheus::Counter& stream_steps;
  prometheus::Counter& stream_bytes;
  prometheus::Histogram& stream_seconds;  // planning of one rank's share of a step
  prometheus::Counter& blob_bytes_in;
  prometheus::Counter& blob_bytes_out;
  prometheus::Counter& stale_streams;
  prometheus::Counter& stale_evaluations;
};

}  // namespace muster
