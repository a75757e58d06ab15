// Prometheus metrics: one registry per process, served over HTTP on a separate port. Names follow Prometheus' rules:
// prefix muster_, base units, _total on counters, labels with bounded sets of values.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/metrics/http_server.h"

namespace muster {

class MetricsServer {
 public:
  // address: host:port; port 0 picks a free one. Serves `registry` at /metrics, with metrics about the scrapes
  // themselves.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& address,
                                                              std::shared_ptr<prometheus::Registry> registry);
  int port() const { return server_->port(); }

 private:
  explicit MetricsServer(std::shared_ptr<prometheus::Registry> registry);
  HttpServer::Page Scrape();

  std::shared_ptr<prometheus::Registry> registry_;
  // Families with the names of prometheus-cpp's own server, which in Debian's build accepts no IPv6 address.
  prometheus::Registry own_;
  prometheus::Counter& bytes_;
  prometheus::Counter& scrapes_;
  prometheus::Summary& latencies_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace muster
