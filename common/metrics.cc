#include "common/metrics.h"

#include <prometheus/exposer.h>

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"

namespace muster {

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address,
                                                                    std::shared_ptr<prometheus::Registry> registry) {
  std::unique_ptr<MetricsServer> server(new MetricsServer());
  try {  // the library reports a port that is taken by an exception
    server->exposer_ = std::make_unique<prometheus::Exposer>(address, 1);
  } catch (const std::exception&) {
    return absl::UnavailableError(absl::StrCat(
        address,
        ": metrics cannot listen. Is the port taken by another process? Choose another, or 0 for a free one."));
  }
  server->registry_ = std::move(registry);
  server->exposer_->RegisterCollectable(server->registry_, "/metrics");
  for (const int port : server->exposer_->GetListeningPorts()) server->port_ = port;
  return server;
}

MetricsServer::~MetricsServer() = default;

}  // namespace muster
