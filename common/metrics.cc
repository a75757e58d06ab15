#include "common/metrics.h"

#include <prometheus/text_serializer.h>

#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"

namespace muster {

MetricsServer::MetricsServer(std::shared_ptr<prometheus::Registry> registry)
    : registry_(std::move(registry)),
      bytes_(prometheus::BuildCounter()
                 .Name("exposer_transferred_bytes_total")
                 .Help("Transferred bytes to metrics services")
                 .Register(own_)
                 .Add({})),
      scrapes_(prometheus::BuildCounter()
                   .Name("exposer_scrapes_total")
                   .Help("Number of times metrics were scraped")
                   .Register(own_)
                   .Add({})),
      latencies_(prometheus::BuildSummary()
                     .Name("exposer_request_latencies")
                     .Help("Latencies of serving scrape requests, in microseconds")
                     .Register(own_)
                     .Add({}, prometheus::Summary::Quantiles{{0.5, 0.05}, {0.9, 0.01}, {0.99, 0.001}})) {}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address,
                                                                    std::shared_ptr<prometheus::Registry> registry) {
  std::unique_ptr<MetricsServer> server(new MetricsServer(std::move(registry)));
  auto http = HttpServer::Start(address, [raw = server.get()](const std::string& path) -> std::optional<HttpServer::Page> {
    if (path != "/metrics") return std::nullopt;
    return raw->Scrape();
  });
  if (absl::IsUnavailable(http.status())) {
    return absl::UnavailableError(
        absl::StrCat("metrics cannot listen on ", http.status().message(),
                     ". Is the port taken by another process? Choose another with --metrics, or 0 for a free one."));
  }
  if (!http.ok()) return absl::InvalidArgumentError(absl::StrCat("--metrics: ", http.status().message()));
  server->server_ = *std::move(http);
  return server;
}

HttpServer::Page MetricsServer::Scrape() {
  const absl::Duration begin = RealClock().Monotonic();
  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  std::vector<prometheus::MetricFamily> own = own_.Collect();
  families.insert(families.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
  HttpServer::Page page{"text/plain; version=0.0.4; charset=utf-8", prometheus::TextSerializer().Serialize(families)};
  scrapes_.Increment();
  bytes_.Increment(static_cast<double>(page.body.size()));
  latencies_.Observe(absl::ToDoubleMicroseconds(RealClock().Monotonic() - begin));
  return page;
}

}  // namespace muster
