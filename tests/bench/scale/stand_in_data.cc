#include "tests/bench/scale/stand_in_data.h"

#include "absl/strings/str_cat.h"
#include "common/rpc/security.h"
#include "common/status.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "tests/bench/scale/job_mix.h"

namespace muster::bench {

class StandInData::Service final : public muster::internal::v1::DataPlaneService::Service {
 public:
  absl::Status Listen() {
    RpcServer::Options options;
    options.address = "127.0.0.1:0";
    options.security.insecure = true;
    options.services = {this};
    ASSIGN_OR_RETURN(server_, RpcServer::Start(options));
    return absl::OkStatus();
  }
  int port() const { return server_->port(); }
  grpc::Status Resolve(grpc::ServerContext*, const muster::internal::v1::ResolveRequest*,
                       muster::internal::v1::ResolveResponse* response) override {
    *response->mutable_resolved() = ResolvedOfTheMix();
    return grpc::Status::OK;
  }

 private:
  std::unique_ptr<RpcServer> server_;
};

StandInData::StandInData() : service_(std::make_unique<Service>()) {}
StandInData::~StandInData() = default;

absl::StatusOr<std::unique_ptr<StandInData>> StandInData::Start() {
  std::unique_ptr<StandInData> data(new StandInData);
  RETURN_IF_ERROR(data->service_->Listen());
  return data;
}

std::string StandInData::address() const { return absl::StrCat("127.0.0.1:", service_->port()); }

}  // namespace muster::bench
