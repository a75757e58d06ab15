// Prometheus metrics: one registry a process, served over HTTP on a port of its own.
// Names follow Prometheus' rules: prefix muster_, base units, _total on counters; labels from closed sets only.
#pragma once

#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace prometheus {
class Exposer;
}

namespace muster {

class MetricsServer {
 public:
  // address: host:port, port 0 picks a free one. Serves `registry` at /metrics.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& address,
                                                              std::shared_ptr<prometheus::Registry> registry);
  ~MetricsServer();
  int port() const { return port_; }

 private:
  MetricsServer() = default;
  std::shared_ptr<prometheus::Registry> registry_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  int port_ = 0;
};

}  // namespace muster
