#include "coordinator/service/cluster_service.h"

#include <utility>

#include "common/clock.h"
#include "common/status.h"
#include "coordinator/core/view.h"

namespace muster {

using grpc::ServerContext;

grpc::Status ClusterServiceImpl::GetCluster(ServerContext* context, const muster::v1::GetClusterRequest* request,
                                            muster::v1::GetClusterResponse* response) {
  return admission_->Serve(*context, "ClusterService/GetCluster", request, [&](AdmittedCall&) {
    response->set_version(version_);
    *response->mutable_time() = ToProto(RealClock().Now());
    response->add_data_addresses(data_address_);
    return backend_->Query([&](const State& state, const Soft&, absl::Time) { response->set_epoch(state.epoch); });
  });
}

grpc::Status ClusterServiceImpl::ListWorkers(ServerContext* context, const muster::v1::ListWorkersRequest* request,
                                             muster::v1::ListWorkersResponse* response) {
  return admission_->Serve(*context, "ClusterService/ListWorkers", request, [&](AdmittedCall&) {
    return backend_->Query([&](const State& state, const Soft& soft, absl::Time now) {
      for (muster::v1::Worker& worker : ViewWorkers(state, soft, now)) *response->add_workers() = std::move(worker);
    });
  });
}

grpc::Status ClusterServiceImpl::ListQueues(ServerContext* context, const muster::v1::ListQueuesRequest* request,
                                            muster::v1::ListQueuesResponse* response) {
  return admission_->Serve(*context, "ClusterService/ListQueues", request, [&](AdmittedCall&) {
    return backend_->Query([&](const State& state, const Soft&, absl::Time) {
      for (muster::v1::QueueInfo& queue : ViewQueues(state)) *response->add_queues() = std::move(queue);
    });
  });
}

grpc::Status ClusterServiceImpl::Drain(ServerContext* context, const muster::v1::DrainRequest* request,
                                       muster::v1::DrainResponse* response) {
  return admission_->Serve(*context, "ClusterService/Drain", request, [&](AdmittedCall& call) -> absl::Status {
    call.subject = request->worker();
    if (request->undo() && request->evict()) return absl::InvalidArgumentError("drain: either undo or evict");
    ASSIGN_OR_RETURN(const std::string drained,
                     backend_->Call(DrainWorker{0, request->worker(), request->undo(), call.principal.name,
                                                request->request_id(), request->evict()}));
    absl::StatusOr<muster::v1::Worker> worker;
    RETURN_IF_ERROR(backend_->Query([&](const State& state, const Soft& soft, absl::Time now) {
      worker = ViewWorker(state, soft, drained, now);
    }));
    if (worker.ok()) {
      *response->mutable_worker() = *std::move(worker);
    } else {  // known, but not connected: the drain holds for when it comes back
      response->mutable_worker()->set_name(drained);
      response->mutable_worker()->set_reason("not connected");
    }
    return absl::OkStatus();
  });
}

grpc::Status ClusterServiceImpl::CollectGarbage(ServerContext* context,
                                                const muster::v1::CollectGarbageRequest* request,
                                                muster::v1::CollectGarbageResponse* response) {
  return admission_->Serve(*context, "ClusterService/CollectGarbage", request, [&](AdmittedCall&) -> absl::Status {
    ASSIGN_OR_RETURN(*response, collect_(request->dry_run()));
    return absl::OkStatus();
  });
}

}  // namespace muster
