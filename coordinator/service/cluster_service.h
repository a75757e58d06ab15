// ClusterService. Include in sources only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/rpc/access/admission.h"
#include "coordinator/service/backend.h"
#include "coordinator/service/collected_garbage.h"
#include "muster/v1/cluster.grpc.pb.h"

namespace muster {

class ClusterServiceImpl final : public muster::v1::ClusterService::Service {
 public:
  using Collect = std::function<absl::StatusOr<CollectedGarbage>(
      const muster::v1::CollectGarbageRequest& request, const std::string& user)>;
  ClusterServiceImpl(Admission* admission, Backend* backend, std::string version,
                     std::string data_address, Collect collect)
      : admission_(admission),
        backend_(backend),
        version_(std::move(version)),
        data_address_(std::move(data_address)),
        collect_(std::move(collect)) {}

  grpc::Status GetCluster(grpc::ServerContext* context, const muster::v1::GetClusterRequest* request,
                          muster::v1::GetClusterResponse* response) override;
  grpc::Status ListWorkers(grpc::ServerContext* context, const muster::v1::ListWorkersRequest* request,
                           muster::v1::ListWorkersResponse* response) override;
  grpc::Status ListQueues(grpc::ServerContext* context, const muster::v1::ListQueuesRequest* request,
                          muster::v1::ListQueuesResponse* response) override;
  grpc::Status DrainWorker(grpc::ServerContext* context, const muster::v1::DrainWorkerRequest* request,
                           muster::v1::DrainWorkerResponse* response) override;
  grpc::Status CollectGarbage(grpc::ServerContext* context, const muster::v1::CollectGarbageRequest* request,
                              muster::v1::CollectGarbageResponse* response) override;

 private:
  Admission* const admission_;
  Backend* const backend_;
  const std::string version_;
  const std::string data_address_;
  const Collect collect_;
};

}  // namespace muster
