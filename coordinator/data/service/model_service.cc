#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/name_page.h"
#include "common/request_id.h"
#include "common/status.h"
#include "common/timestamp.h"
#include "coordinator/data/blob/model_files.h"
#include "coordinator/data/service/mutation_request.h"
#include "coordinator/data/service/ownership.h"
#include "coordinator/data/service/services.h"
#include "muster/v1/model.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

class ModelServiceImpl final : public v1::ModelService::Service {
 public:
  explicit ModelServiceImpl(DataContext data) : data_(data) {}

  grpc::Status PushModel(grpc::ServerContext* call, const v1::PushModelRequest* request,
                         v1::PushModelResponse* response) override {
    return data_.admission.Serve(*call, "ModelService/PushModel", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->name();
      ASSIGN_OR_RETURN(*response->mutable_model(), Store(admitted.principal, *request));
      spdlog::info("{} pushed model {} ({})", admitted.principal.name, request->name(),
                   response->model().manifest().substr(0, 12));
      return absl::OkStatus();
    });
  }

  grpc::Status PullModel(grpc::ServerContext* call, const v1::PullModelRequest* request,
                         v1::PullModelResponse* response) override {
    return data_.admission.Serve(*call, "ModelService/PullModel", request, [&](AdmittedCall&) -> absl::Status {
      ASSIGN_OR_RETURN(*response->mutable_model(), data_.stores.catalogue->GetModel(request->name()));
      ASSIGN_OR_RETURN(*response->mutable_files(),
                       ReadManifestBlob(*data_.stores.blobs, response->model().manifest()));
      return absl::OkStatus();
    });
  }

  grpc::Status ListModels(grpc::ServerContext* call, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override {
    return data_.admission.Serve(
        *call, "ModelService/ListModels", request, [&](AdmittedCall& admitted) -> absl::Status {
          ASSIGN_OR_RETURN(auto models, data_.stores.catalogue->ListModels());
          // A coordinator of the previous version does not request pages, and deletes blobs that belong to no model in the
          // answer.
          const bool all = admitted.principal.role == Role::kCoordinator && request->page_size() == 0;
          ASSIGN_OR_RETURN(*response->mutable_next_page_token(),
                           FillPage(*request, models, [](const v1::Model& model) { return model.name(); },
                                    [&](v1::Model& model) {
                                      *response->add_models() = std::move(model);
                                      return response->models().rbegin()->ByteSizeLong();
                                    },
                                    all));
          return absl::OkStatus();
        });
  }

  // The blobs stay: jobs that were submitted before use them.
  grpc::Status DeleteModel(grpc::ServerContext* call, const v1::DeleteModelRequest* request,
                           v1::DeleteModelResponse*) override {
    return data_.admission.Serve(
        *call, "ModelService/DeleteModel", request, [&](AdmittedCall& admitted) -> absl::Status {
          admitted.subject = request->name();
          Catalogue& catalogue = *data_.stores.catalogue;
          const MutationRequest asked = {admitted.principal.name, request->request_id(),
                                         absl::StrCat("to delete model ", request->name())};
          const absl::Time now = data_.clock.Now();
          absl::MutexLock lock(&data_.stores.names);
          ASSIGN_OR_RETURN(const std::optional<std::string> first, FirstAnswer(catalogue, asked, now));
          if (first.has_value()) return absl::OkStatus();
          ASSIGN_OR_RETURN(const v1::Model model, catalogue.GetModel(request->name()));
          RETURN_IF_ERROR(CheckOwner(admitted.principal, model));
          RETURN_IF_ERROR(catalogue.DeleteModel(request->name(), asked.Answered(now)));
          spdlog::info("{} deleted model {}", admitted.principal.name, request->name());
          return absl::OkStatus();
        });
  }

 private:
  absl::StatusOr<v1::Model> Store(const Principal& caller, const v1::PushModelRequest& request) const {
    if (!IsValidName(request.name())) {
      return absl::InvalidArgumentError(
          absl::StrCat("models push: \"", request.name(),
                       "\" is not a valid model name; use 1 to 63 characters of [a-z0-9._-], the first a letter or digit."));
    }
    RETURN_IF_ERROR(CheckRequestId(request.request_id()));
    const absl::StatusOr<NamedManifest> manifest = CanonicalManifest(request.files());
    if (!manifest.ok()) return WithContext(manifest.status(), "models push");
    RETURN_IF_ERROR(data_.budget.CheckRoom(manifest->bytes.size()));
    ASSIGN_OR_RETURN(v1::Model model, CheckModel(*data_.stores.blobs, manifest->files, data_.stores.state->scratch()));
    RETURN_IF_ERROR(data_.stores.blobs->PutBytes(manifest->digest, manifest->bytes));
    RETURN_IF_ERROR(TouchManifest(data_.stores, manifest->digest));  // it gets its name right after this
    model.set_name(request.name());
    model.set_manifest(manifest->digest);
    return Name(caller, request, std::move(model));
  }

  // The checked model gets its name, unless the same push has given it already.
  absl::StatusOr<v1::Model> Name(const Principal& caller, const v1::PushModelRequest& request, v1::Model model) const {
    Catalogue& catalogue = *data_.stores.catalogue;
    const std::string push = absl::StrCat(caller.name, "\n", request.request_id());
    absl::MutexLock lock(&data_.stores.names);
    if (!request.request_id().empty()) {
      RETURN_IF_ERROR(catalogue.ForgetPushesBefore(data_.clock.Now() - kRequestLife));
      ASSIGN_OR_RETURN(const std::optional<v1::Model> done, catalogue.ModelOfPush(push));
      if (done.has_value()) return CheckSamePush(*done, model);
    }
    const absl::StatusOr<v1::Model> existing = catalogue.GetModel(request.name());
    if (!existing.ok() && !absl::IsNotFound(existing.status())) return existing.status();
    if (existing.ok()) RETURN_IF_ERROR(CheckReplace(caller, *existing, request.replace()));
    model.set_owner(OwnerAfter(caller, existing.ok() ? existing->owner() : ""));
    *model.mutable_pushed() = ToProto(data_.clock.Now());
    RETURN_IF_ERROR(request.request_id().empty() ? catalogue.PutModel(model) : catalogue.PutPushedModel(model, push));
    return model;
  }

  static absl::StatusOr<v1::Model> CheckSamePush(const v1::Model& done, const v1::Model& asked) {
    if (done.name() == asked.name() && done.manifest() == asked.manifest()) return done;
    return WithReason(absl::InvalidArgumentError(
                          absl::StrCat("request_id: it was used for a push of ", done.manifest().substr(0, 12),
                                       " as \"", done.name(), "\", and this one is of ", asked.manifest().substr(0, 12),
                                       " as \"", asked.name(), "\". Use a new id for another push.")),
                      "REQUEST_ID_REUSED");
  }

  const DataContext data_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeModelService(DataContext context) {
  return std::make_unique<ModelServiceImpl>(context);
}

}  // namespace muster
