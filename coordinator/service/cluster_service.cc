#include "coordinator/service/cluster_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/rpc/metadata.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/core/requests.h"
#include "coordinator/core/view.h"

namespace muster {

using grpc::ServerContext;

grpc::Status ClusterServiceImpl::GetCluster(ServerContext* context, const muster::v1::GetClusterRequest* request,
                                            muster::v1::GetClusterResponse* response) {
  return admission_->Serve(*context, "ClusterService/GetCluster", request, [&](AdmittedCall& call) {
    const Principal& caller = call.principal;
    context->AddInitialMetadata(kCallerMetadata, absl::StrCat(ToAbsl(RoleName(caller.role)), " ", caller.name));
    response->set_version(version_);
    *response->mutable_time() = ToProto(RealClock().Now());
    response->add_data_addresses(data_address_);
    return backend_->Query([&](const State& state, const Soft&, absl::Time) { response->set_epoch(state.epoch); });
  });
}

grpc::Status ClusterServiceImpl::ListWorkers(ServerContext* context, const muster::v1::ListWorkersRequest* request,
                                             muster::v1::ListWorkersResponse* response) {
  return admission_->Serve(*context, "ClusterService/ListWorkers", request, [&](AdmittedCall&) -> absl::Status {
    absl::StatusOr<muster::v1::ListWorkersResponse> page;
    RETURN_IF_ERROR(backend_->Query([&](const State& state, const Soft& soft, absl::Time now) {
      page = PageOfWorkers(state, soft, *request, now);
    }));
    if (page.ok()) *response = *std::move(page);
    return page.status();
  });
}

grpc::Status ClusterServiceImpl::ListQueues(ServerContext* context, const muster::v1::ListQueuesRequest* request,
                                            muster::v1::ListQueuesResponse* response) {
  return admission_->Serve(*context, "ClusterService/ListQueues", request, [&](AdmittedCall&) -> absl::Status {
    absl::StatusOr<muster::v1::ListQueuesResponse> page;
    RETURN_IF_ERROR(backend_->Query(
        [&](const State& state, const Soft&, absl::Time) { page = PageOfQueues(state, *request); }));
    if (page.ok()) *response = *std::move(page);
    return page.status();
  });
}

grpc::Status ClusterServiceImpl::DrainWorker(ServerContext* context, const muster::v1::DrainWorkerRequest* request,
                                             muster::v1::DrainWorkerResponse* response) {
  return admission_->Serve(*context, "ClusterService/DrainWorker", request, [&](AdmittedCall& call) -> absl::Status {
    call.subject = request->worker();
    RETURN_IF_ERROR(CheckRequestId(request->request_id()));
    if (request->undo() && request->evict()) return absl::InvalidArgumentError("drain: either undo or evict");
    ASSIGN_OR_RETURN(const std::string drained,
                     backend_->Call(muster::DrainWorker{0, request->worker(), request->undo(), call.principal.name,
                                                        request->request_id(), request->evict()}));
    absl::StatusOr<muster::v1::Worker> worker;
    RETURN_IF_ERROR(backend_->Query([&](const State& state, const Soft& soft, absl::Time now) {
      worker = ViewWorker(state, soft, drained, now);
    }));
    if (worker.ok()) {
      *response->mutable_worker() = *std::move(worker);
    } else {  // known, but not connected: the drain applies when it returns
      response->mutable_worker()->set_name(drained);
      response->mutable_worker()->set_reason("not connected");
      response->mutable_worker()->set_reason_code(muster::v1::REASON_CODE_WORKER_NOT_CONNECTED);
    }
    return absl::OkStatus();
  });
}

grpc::Status ClusterServiceImpl::CollectGarbage(ServerContext* context,
                                                const muster::v1::CollectGarbageRequest* request,
                                                muster::v1::CollectGarbageResponse* response) {
  return admission_->Serve(*context, "ClusterService/CollectGarbage", request, [&](AdmittedCall& call) -> absl::Status {
    ASSIGN_OR_RETURN(CollectedGarbage collected, collect_(*request, call.principal.name));
    AddNotes(collected.notes, *context);
    *response = std::move(collected.response);
    return absl::OkStatus();
  });
}

}  // namespace muster
