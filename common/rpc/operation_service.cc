#include "common/rpc/operation_service.h"

#include <spdlog/spdlog.h>

#include "common/status.h"
#include "muster/v1/operation.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

class OperationServiceImpl final : public v1::OperationService::Service {
 public:
  OperationServiceImpl(Operations& operations, Admission& admission) : operations_(operations), admission_(admission) {}

  grpc::Status ListOperations(grpc::ServerContext* call, const v1::ListOperationsRequest* request,
                              v1::ListOperationsResponse* response) override {
    return admission_.Serve(*call, "OperationService/ListOperations", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(*response, operations_.List(*request));
      return absl::OkStatus();
    });
  }

  grpc::Status GetOperation(grpc::ServerContext* call, const v1::GetOperationRequest* request,
                            v1::GetOperationResponse* response) override {
    return admission_.Serve(*call, "OperationService/GetOperation", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(*response->mutable_operation(), operations_.Get(request->id()));
      return absl::OkStatus();
    });
  }

  grpc::Status CancelOperation(grpc::ServerContext* call, const v1::CancelOperationRequest* request,
                               v1::CancelOperationResponse* response) override {
    return admission_.Serve(*call, "OperationService/CancelOperation", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->id();
      ASSIGN_OR_RETURN(*response->mutable_operation(),
                       operations_.Cancel(request->id(), admitted.principal, request->request_id()));
      spdlog::info("{} cancels operation {} ({})", admitted.principal.name, request->id(), response->operation().subject());
      return absl::OkStatus();
    });
  }

 private:
  Operations& operations_;
  Admission& admission_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeOperationService(Operations& operations, Admission& admission) {
  return std::make_unique<OperationServiceImpl>(operations, admission);
}

}  // namespace muster
