// muster-data without its command line: stores, services and metrics, started together.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "common/rpc/access/admission.h"
#include "common/rpc/access/call_metrics.h"
#include "common/rpc/health.h"
#include "common/rpc/operations.h"
#include "common/rpc/security.h"
#include "coordinator/data/service/assignment_gate.h"
#include "coordinator/data/service/attempt_fence.h"
#include "coordinator/data/service/data_metrics.h"
#include "coordinator/data/service/data_stores.h"
#include "coordinator/data/service/share_sources.h"
#include "coordinator/data/service/store_budget.h"
#include "coordinator/data/service/store_probe.h"
#include "coordinator/data/service/store_watch.h"

namespace muster {

class DataServer {
 public:
  struct Options {
    std::string listen = "127.0.0.1:7072";
    std::string metrics = "127.0.0.1:7073";  // empty: metrics are not served
    std::string health;  // host:port of the probes (common/rpc/health.h); empty: no probes
    std::filesystem::path state;
    SecurityOptions security;
    std::filesystem::path tokens;  // file of tokens (common/rpc/access/tokens.h); empty: none
    UserLimits limits;
    uint64_t store_budget = 0;  // bytes; 0: limited only by the disk
    const Clock* clock = &RealClock();
  };
  static absl::StatusOr<std::unique_ptr<DataServer>> Start(const Options& options);
  ~DataServer();

  int port() const { return server_->port(); }
  int metrics_port() const { return metrics_server_ == nullptr ? 0 : metrics_server_->port(); }
  int health_port() const { return health_->port(); }
  // Ends streams immediately (clients reconnect) and gives other calls `grace` to end.
  void Shutdown(absl::Duration grace);

 private:
  DataServer();

  std::atomic<bool> stopping_ = false;
  std::unique_ptr<HealthServer> health_;
  MetricRegistry registry_;
  DataMetrics metrics_;
  CallMetrics calls_;
  AttemptFence fence_;
  std::unique_ptr<Admission> admission_;
  std::optional<AssignmentGate> gate_;
  std::unique_ptr<DataStores> stores_;
  std::unique_ptr<StoreProbe> probe_;
  std::unique_ptr<StoreWatch> watch_;
  std::unique_ptr<ShareSources> sources_;
  std::unique_ptr<StoreBudget> budget_;
  std::unique_ptr<Operations> operations_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<MetricsServer> metrics_server_;
  std::unique_ptr<RpcServer> server_;
};

}  // namespace muster
