#include <spdlog/spdlog.h>

#include "common/rpc/errors.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "coordinator/data/service/import_call.h"
#include "coordinator/data/service/resolver.h"
#include "coordinator/data/service/services.h"
#include "coordinator/data/service/stream_calls.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

class DataServiceImpl final : public v1::DataService::Service {
 public:
  explicit DataServiceImpl(DataContext data) : data_(data) {}

  grpc::Status Import(grpc::ServerContext* call, ImportStream* stream) override {
    return data_.admission.Serve(*call, "DataService/Import", nullptr, [&](AdmittedCall& admitted) -> absl::Status {
      return RunImport(data_, admitted, *call, *stream);
    });
  }

  grpc::Status List(grpc::ServerContext* call, const v1::ListDatasetsRequest* request,
                    v1::ListDatasetsResponse* response) override {
    return data_.admission.Serve(*call, "DataService/List", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(const auto datasets, data_.stores.catalogue->ListDatasets());
      for (const v1::Dataset& dataset : datasets) *response->add_datasets() = dataset;
      return absl::OkStatus();
    });
  }

  grpc::Status Get(grpc::ServerContext* call, const v1::GetDatasetRequest* request,
                   v1::GetDatasetResponse* response) override {
    return data_.admission.Serve(*call, "DataService/Get", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(*response->mutable_dataset(), data_.stores.catalogue->GetDataset(request->name()));
      return absl::OkStatus();
    });
  }

  grpc::Status Delete(grpc::ServerContext* call, const v1::DeleteDatasetRequest* request,
                      v1::DeleteDatasetResponse*) override {
    return data_.admission.Serve(*call, "DataService/Delete", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->name();
      RETURN_IF_ERROR(DeleteDataset(data_.stores, request->name()));
      spdlog::info("{} deleted dataset {}", admitted.principal.name, request->name());
      return absl::OkStatus();
    });
  }

  grpc::Status Resolve(grpc::ServerContext* call, const v1::ResolveRequest* request,
                       v1::ResolveResponse* response) override {
    return data_.admission.Serve(*call, "DataService/Resolve", request, [&](AdmittedCall&) -> absl::Status {
      v1::ResolveRequest filled = *request;
      FillDefaults(*filled.mutable_spec());
      RETURN_IF_ERROR(ValidateJobSpec(filled.spec()));
      ASSIGN_OR_RETURN(*response->mutable_resolved(), ResolveJob(data_.stores, filled));
      return absl::OkStatus();
    });
  }

  grpc::Status Stream(grpc::ServerContext* call, const v1::StreamRequest* request,
                      grpc::ServerWriter<v1::StepShare>* writer) override {
    return data_.admission.Serve(*call, "DataService/Stream", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->identity().job_id();
      RETURN_IF_ERROR(data_.gate.AdmitStream(*call, admitted.principal, request->identity(), request->resolved(),
                                             request->resolved().train_dataset()));
      return RunStream(data_, *call, *request, *writer);
    });
  }

  grpc::Status StreamEvaluation(grpc::ServerContext* call, const v1::StreamEvaluationRequest* request,
                                grpc::ServerWriter<v1::StreamEvaluationResponse>* writer) override {
    return data_.admission.Serve(*call, "DataService/StreamEvaluation", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->identity().job_id();
      RETURN_IF_ERROR(data_.gate.AdmitStream(*call, admitted.principal, request->identity(), request->resolved(),
                                             request->dataset()));
      return RunStreamEvaluation(data_, *call, *request, *writer);
    });
  }

 private:
  const DataContext data_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDataService(DataContext context) {
  return std::make_unique<DataServiceImpl>(context);
}

}  // namespace muster
