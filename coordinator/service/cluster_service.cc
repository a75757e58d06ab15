#include "coordinator/service/cluster_service.h"

#include <utility>

#include "common/rpc/errors.h"
#include "common/rpc/security.h"
#include "coordinator/core/view.h"

namespace muster {

using grpc::ServerContext;

grpc::Status ClusterServiceImpl::GetCluster(ServerContext* context, const muster::v1::GetClusterRequest*,
                                            muster::v1::GetClusterResponse* response) {
  // Anyone with a certificate of this cluster may know where its servers are.
  absl::Status status = Require(*context, {Role::kUser, Role::kWorker, Role::kData, Role::kCoordinator});
  if (!status.ok()) return ToGrpc(status);
  response->set_version(version_);
  for (const std::string& address : data_addresses_) response->add_data_addresses(address);
  return ToGrpc(backend_->Query(
      [&](const State& state, const Soft&, absl::Time) { response->set_epoch(state.epoch); }));
}

grpc::Status ClusterServiceImpl::ListWorkers(ServerContext* context, const muster::v1::ListWorkersRequest*,
                                             muster::v1::ListWorkersResponse* response) {
  if (absl::Status allowed = Require(*context, {Role::kUser}); !allowed.ok()) return ToGrpc(allowed);
  return ToGrpc(backend_->Query([&](const State& state, const Soft& soft, absl::Time now) {
    for (muster::v1::Worker& worker : ViewWorkers(state, soft, now)) *response->add_workers() = std::move(worker);
  }));
}

grpc::Status ClusterServiceImpl::ListQueues(ServerContext* context, const muster::v1::ListQueuesRequest*,
                                            muster::v1::ListQueuesResponse* response) {
  if (absl::Status allowed = Require(*context, {Role::kUser}); !allowed.ok()) return ToGrpc(allowed);
  return ToGrpc(backend_->Query([&](const State& state, const Soft&, absl::Time) {
    for (muster::v1::QueueInfo& queue : ViewQueues(state)) *response->add_queues() = std::move(queue);
  }));
}

grpc::Status ClusterServiceImpl::Drain(ServerContext* context, const muster::v1::DrainRequest* request,
                                       muster::v1::DrainResponse* response) {
  if (absl::Status allowed = Require(*context, {Role::kUser}); !allowed.ok()) return ToGrpc(allowed);
  if (request->undo() && request->evict()) {
    return ToGrpc(absl::InvalidArgumentError("drain: either undo or evict"));
  }
  absl::StatusOr<std::string> drained = backend_->Call(DrainWorker{
      0, request->worker(), request->undo(), PrincipalOf(*context).name, request->request_id(), request->evict()});
  if (!drained.ok()) return ToGrpc(drained.status());
  absl::StatusOr<muster::v1::Worker> worker;
  absl::Status status = backend_->Query([&](const State& state, const Soft& soft, absl::Time now) {
    worker = ViewWorker(state, soft, *drained, now);
  });
  if (!status.ok()) return ToGrpc(status);
  if (worker.ok()) {
    *response->mutable_worker() = *std::move(worker);
  } else {  // known, but not connected: the drain holds for when it comes back
    response->mutable_worker()->set_name(*drained);
    response->mutable_worker()->set_reason("not connected");
  }
  return grpc::Status::OK;
}

}  // namespace muster
