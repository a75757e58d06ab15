#include <spdlog/spdlog.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "common/name_page.h"
#include "common/status.h"
#include "common/timestamp.h"
#include "coordinator/data/service/export_call.h"
#include "coordinator/data/service/import_call.h"
#include "coordinator/data/service/mutation_request.h"
#include "coordinator/data/service/ownership.h"
#include "coordinator/data/service/services.h"
#include "coordinator/data/service/show_call.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

class DataServiceImpl final : public v1::DataService::Service {
 public:
  explicit DataServiceImpl(DataContext data) : data_(data) {}

  grpc::Status ImportDataset(grpc::ServerContext* call, ImportStream* stream) override {
    return data_.admission.Serve(
        *call, "DataService/ImportDataset", nullptr,
        [&](AdmittedCall& admitted) -> absl::Status { return RunImport(data_, admitted, *call, *stream); });
  }

  grpc::Status ListDatasets(grpc::ServerContext* call, const v1::ListDatasetsRequest* request,
                            v1::ListDatasetsResponse* response) override {
    return data_.admission.Serve(*call, "DataService/ListDatasets", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(auto datasets, data_.stores.catalogue->ListDatasets());
      ASSIGN_OR_RETURN(*response->mutable_next_page_token(),
                       FillPage(*request, datasets, [](const v1::Dataset& dataset) { return dataset.name(); },
                                [&](v1::Dataset& dataset) {
                                  *response->add_datasets() = std::move(dataset);
                                  return response->datasets().rbegin()->ByteSizeLong();
                                }));
      response->set_server_version(MUSTER_VERSION);
      *response->mutable_server_time() = ToProto(data_.clock.Now());
      return absl::OkStatus();
    });
  }

  grpc::Status GetDataset(grpc::ServerContext* call, const v1::GetDatasetRequest* request,
                          v1::GetDatasetResponse* response) override {
    return data_.admission.Serve(*call, "DataService/GetDataset", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(*response->mutable_dataset(), data_.stores.catalogue->GetDataset(request->name()));
      ASSIGN_OR_RETURN(auto report, data_.stores.catalogue->ReportOf(response->dataset()));
      if (report.has_value()) *response->mutable_report() = *std::move(report);
      return absl::OkStatus();
    });
  }

  grpc::Status ShowDataset(grpc::ServerContext* call, const v1::ShowDatasetRequest* request,
                           v1::ShowDatasetResponse* response) override {
    return data_.admission.Serve(*call, "DataService/ShowDataset", request,
                                 [&](AdmittedCall& admitted) -> absl::Status {
                                   admitted.subject = request->name();
                                   ASSIGN_OR_RETURN(*response, muster::ShowDataset(data_.stores, *request));
                                   return absl::OkStatus();
                                 });
  }

  grpc::Status ExportDataset(grpc::ServerContext* call, const v1::ExportDatasetRequest* request,
                             grpc::ServerWriter<v1::ExportDatasetResponse>* writer) override {
    return data_.admission.Serve(*call, "DataService/ExportDataset", request,
                                 [&](AdmittedCall& admitted) -> absl::Status {
                                   admitted.subject = request->name();
                                   return RunExport(data_, *call, *request, *writer);
                                 });
  }

  grpc::Status DeleteDataset(grpc::ServerContext* call, const v1::DeleteDatasetRequest* request,
                             v1::DeleteDatasetResponse*) override {
    return data_.admission.Serve(
        *call, "DataService/DeleteDataset", request, [&](AdmittedCall& admitted) -> absl::Status {
          admitted.subject = request->name();
          Catalogue& catalogue = *data_.stores.catalogue;
          const MutationRequest asked = {admitted.principal.name, request->request_id(),
                                         absl::StrCat("to delete dataset ", request->name())};
          const absl::Time now = data_.clock.Now();
          absl::MutexLock lock(&data_.stores.names);
          ASSIGN_OR_RETURN(const std::optional<std::string> first, FirstAnswer(catalogue, asked, now));
          if (first.has_value()) return absl::OkStatus();
          ASSIGN_OR_RETURN(const v1::Dataset dataset, catalogue.GetDataset(request->name()));
          RETURN_IF_ERROR(CheckOwner(admitted.principal, dataset));
          // A later sweep removes the content, when no job needs it.
          RETURN_IF_ERROR(catalogue.DeleteDataset(request->name(), asked.Answered(now)));
          spdlog::info("{} deleted dataset {}", admitted.principal.name, request->name());
          return absl::OkStatus();
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
