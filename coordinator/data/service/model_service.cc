#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/blob/model_files.h"
#include "coordinator/data/service/services.h"
#include "muster/v1/model.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

class ModelServiceImpl final : public v1::ModelService::Service {
 public:
  explicit ModelServiceImpl(DataContext data) : data_(data) {}

  grpc::Status Push(grpc::ServerContext* call, const v1::PushModelRequest* request,
                    v1::PushModelResponse* response) override {
    return data_.admission.Serve(*call, "ModelService/Push", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->name();
      ASSIGN_OR_RETURN(*response->mutable_model(), Store(*request));
      spdlog::info("{} pushed model {} ({})", admitted.principal.name, request->name(),
                   response->model().manifest().substr(0, 12));
      return absl::OkStatus();
    });
  }

  grpc::Status Pull(grpc::ServerContext* call, const v1::PullModelRequest* request,
                    v1::PullModelResponse* response) override {
    return data_.admission.Serve(*call, "ModelService/Pull", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(*response->mutable_model(), data_.stores.catalogue->GetModel(request->name()));
      ASSIGN_OR_RETURN(*response->mutable_files(),
                       ReadManifestBlob(*data_.stores.blobs, response->model().manifest()));
      return absl::OkStatus();
    });
  }

  grpc::Status List(grpc::ServerContext* call, const v1::ListModelsRequest* request,
                    v1::ListModelsResponse* response) override {
    return data_.admission.Serve(*call, "ModelService/List", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(const auto models, data_.stores.catalogue->ListModels());
      for (const v1::Model& model : models) *response->add_models() = model;
      return absl::OkStatus();
    });
  }

  // The blobs stay: jobs that were submitted before use them.
  grpc::Status Delete(grpc::ServerContext* call, const v1::DeleteModelRequest* request,
                      v1::DeleteModelResponse*) override {
    return data_.admission.Serve(*call, "ModelService/Delete", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->name();
      RETURN_IF_ERROR(data_.stores.catalogue->DeleteModel(request->name()));
      spdlog::info("{} deleted model {}", admitted.principal.name, request->name());
      return absl::OkStatus();
    });
  }

 private:
  absl::StatusOr<v1::Model> Store(const v1::PushModelRequest& request) const {
    if (!IsValidName(request.name())) {
      return absl::InvalidArgumentError(
          absl::StrCat("models push: \"", request.name(),
                       "\" is no name of a model; use 1 to 63 characters of [a-z0-9._-], the first a letter or digit."));
    }
    const absl::StatusOr<NamedManifest> manifest = CanonicalManifest(request.files());
    if (!manifest.ok()) return WithContext(manifest.status(), "models push");
    RETURN_IF_ERROR(data_.stores.state->CheckRoom(manifest->bytes.size()));
    ASSIGN_OR_RETURN(v1::Model model, CheckModel(*data_.stores.blobs, manifest->files, data_.stores.state->scratch()));
    RETURN_IF_ERROR(data_.stores.blobs->PutBytes(manifest->digest, manifest->bytes));
    model.set_name(request.name());
    model.set_manifest(manifest->digest);
    model.mutable_pushed()->set_seconds(absl::ToUnixSeconds(data_.clock.Now()));
    RETURN_IF_ERROR(data_.stores.catalogue->PutModel(model));
    return model;
  }

  const DataContext data_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeModelService(DataContext context) {
  return std::make_unique<ModelServiceImpl>(context);
}

}  // namespace muster
