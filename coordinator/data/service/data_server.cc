#include "coordinator/data/service/data_server.h"

#include "common/rpc/certificate_expiry.h"
#include "common/rpc/operation_service.h"
#include "common/status.h"
#include "coordinator/data/service/services.h"

namespace muster {

DataServer::DataServer() : registry_(MetricProgram::kData, MUSTER_VERSION), metrics_(registry_), calls_(registry_) {}

absl::StatusOr<std::unique_ptr<DataServer>> DataServer::Start(const Options& options) {
  std::unique_ptr<DataServer> server(new DataServer());
  ASSIGN_OR_RETURN(server->health_, HealthServer::Start({.address = options.health, .clock = options.clock}));
  ASSIGN_OR_RETURN(server->stores_, OpenDataStores(options.state, *options.clock));
  server->probe_ = std::make_unique<StoreProbe>(*server->stores_->catalogue, *server->health_);
  server->watch_ = std::make_unique<StoreWatch>(*server->stores_, options.state, server->registry_);
  server->sources_ = std::make_unique<ShareSources>(
      *server->stores_, *options.clock, [&metrics = server->metrics_](absl::Duration time) {
        metrics.plan_seconds.Observe(absl::ToDoubleSeconds(time));
      });
  RETURN_IF_ERROR(PublishCertificateExpiry(options.security.certificates, server->registry_));
  ASSIGN_OR_RETURN(server->admission_, Admission::Create({.tokens = options.tokens,
                                                          .audit = options.state / "audit",
                                                          .audit_room = [state = server->stores_->state.get()] {
                                                            return state->CheckRoom(0).ok();
                                                          },
                                                          .limits = options.limits,
                                                          .observer = &server->calls_,
                                                          .clock = options.clock}));
  ASSIGN_OR_RETURN(server->gate_, AssignmentGate::Create({.certificates = options.security.certificates,
                                                          .fence = &server->fence_,
                                                          .clock = options.clock}));
  server->budget_ = std::make_unique<StoreBudget>(*server->stores_, options.store_budget, *options.clock);
  server->operations_ = std::make_unique<Operations>(*options.clock);
  const DataContext context = {*server->stores_,    *server->sources_, server->fence_,   server->metrics_,
                               *server->admission_, *server->gate_,    *server->budget_, *server->operations_,
                               *options.clock,      server->stopping_};
  server->services_.push_back(MakeDataService(context));
  server->services_.push_back(MakeDataPlaneService(context));
  server->services_.push_back(MakeBlobService(context));
  server->services_.push_back(MakeModelService(context));
  server->services_.push_back(MakeBackupService(DataBackup(*server->stores_), *server->admission_));
  server->services_.push_back(MakeOperationService(*server->operations_, *server->admission_));
  if (!options.metrics.empty()) {
    ASSIGN_OR_RETURN(server->metrics_server_, MetricsServer::Start(options.metrics, server->registry_.registry()));
  }
  RpcServer::Options rpc = {options.listen, options.security, {}};
  for (const auto& service : server->services_) rpc.services.push_back(service.get());
  ASSIGN_OR_RETURN(server->server_, RpcServer::Start(rpc));
  server->health_->SetReady(true, "the stores are open, and the services listen");
  return server;
}

DataServer::~DataServer() {
  if (server_ != nullptr) Shutdown(absl::ZeroDuration());
}

void DataServer::Shutdown(absl::Duration grace) {
  stopping_ = true;
  health_->SetReady(false, "the data server shuts down");
  server_->SetServing(false);
  server_->Shutdown(grace);
}

}  // namespace muster
