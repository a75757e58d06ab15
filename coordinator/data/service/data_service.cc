#include <spdlog/spdlog.h>

#include "common/name_page.h"
#include "common/rpc/errors.h"
#include "common/rpc/metadata.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "coordinator/data/service/export_call.h"
#include "coordinator/data/service/import_call.h"
#include "coordinator/data/service/ownership.h"
#include "coordinator/data/service/preview.h"
#include "coordinator/data/service/resolver.h"
#include "coordinator/data/service/services.h"
#include "coordinator/data/service/show_call.h"
#include "coordinator/data/service/stream_calls.h"
#include "coordinator/data/service/sweep.h"
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
      ASSIGN_OR_RETURN(NamePage page, NamePage::Create(request->page_size(), request->page_token()));
      ASSIGN_OR_RETURN(auto datasets, data_.stores.catalogue->ListDatasets());
      for (v1::Dataset& dataset : datasets) {
        if (dataset.name() <= page.after()) continue;
        if (page.full()) {
          response->set_next_page_token(page.next_token());
          break;
        }
        page.Count(dataset.name(), dataset.ByteSizeLong());
        *response->add_datasets() = std::move(dataset);
      }
      response->set_server_version(MUSTER_VERSION);
      const int64_t now = absl::ToUnixNanos(data_.clock.Now());
      response->mutable_server_time()->set_seconds(now / 1000000000);
      response->mutable_server_time()->set_nanos(static_cast<int32_t>(now % 1000000000));
      return absl::OkStatus();
    });
  }

  grpc::Status Get(grpc::ServerContext* call, const v1::GetDatasetRequest* request,
                   v1::GetDatasetResponse* response) override {
    return data_.admission.Serve(*call, "DataService/Get", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(*response->mutable_dataset(), data_.stores.catalogue->GetDataset(request->name()));
      ASSIGN_OR_RETURN(auto report, data_.stores.catalogue->ReportOf(response->dataset()));
      if (report.has_value()) *response->mutable_report() = *std::move(report);
      return absl::OkStatus();
    });
  }

  grpc::Status Show(grpc::ServerContext* call, const v1::ShowDatasetRequest* request,
                    v1::ShowDatasetResponse* response) override {
    return data_.admission.Serve(*call, "DataService/Show", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->name();
      ASSIGN_OR_RETURN(*response, ShowDataset(data_.stores, *request));
      return absl::OkStatus();
    });
  }

  grpc::Status Export(grpc::ServerContext* call, const v1::ExportDatasetRequest* request,
                      grpc::ServerWriter<v1::ExportDatasetResponse>* writer) override {
    return data_.admission.Serve(*call, "DataService/Export", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->name();
      return RunExport(data_, *call, *request, *writer);
    });
  }

  grpc::Status Delete(grpc::ServerContext* call, const v1::DeleteDatasetRequest* request,
                      v1::DeleteDatasetResponse*) override {
    return data_.admission.Serve(*call, "DataService/Delete", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->name();
      absl::MutexLock lock(&data_.stores.names);
      ASSIGN_OR_RETURN(const v1::Dataset dataset, data_.stores.catalogue->GetDataset(request->name()));
      RETURN_IF_ERROR(CheckOwner(admitted.principal, dataset));
      // A later sweep removes the content, when no job needs it.
      RETURN_IF_ERROR(data_.stores.catalogue->DeleteDataset(request->name()));
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
      ASSIGN_OR_RETURN(Resolution resolution, ResolveJob(data_.stores, filled, request->spec()));
      AddNotes(resolution.notes, *call);
      *response->mutable_resolved() = std::move(resolution.resolved);
      return absl::OkStatus();
    });
  }

  grpc::Status Preview(grpc::ServerContext* call, const v1::PreviewRequest* request,
                       v1::PreviewResponse* response) override {
    return data_.admission.Serve(*call, "DataService/Preview", request, [&](AdmittedCall&) -> absl::Status {
      v1::PreviewRequest filled = *request;
      FillDefaults(*filled.mutable_spec());
      RETURN_IF_ERROR(ValidateJobSpec(filled.spec()));
      ASSIGN_OR_RETURN(*response->mutable_preview(), PreviewTraining(data_.stores, filled));
      return absl::OkStatus();
    });
  }

  grpc::Status Sweep(grpc::ServerContext* call, const v1::SweepRequest* request, v1::SweepResponse* response) override {
    return data_.admission.Serve(*call, "DataService/Sweep", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(*response, SweepStores(data_.stores, *request, data_.clock.Now()));
      for (const v1::GarbageKind& kind : response->kinds()) {
        spdlog::info("{} {} {} of {} bytes", request->dry_run() ? "would remove" : "removed", kind.count(), kind.kind(),
                     kind.bytes());
        if (!request->dry_run()) {
          data_.metrics.garbage_bytes.With({kind.kind()}).Increment(static_cast<double>(kind.bytes()));
        }
      }
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
