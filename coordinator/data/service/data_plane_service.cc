#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/garbage_category.h"
#include "common/rpc/errors.h"
#include "common/rpc/metadata.h"
#include "common/spec/job_spec.h"
#include "common/spec/training_sets.h"
#include "common/status.h"
#include "coordinator/data/service/mining_call.h"
#include "coordinator/data/service/preview.h"
#include "coordinator/data/service/resolver.h"
#include "coordinator/data/service/services.h"
#include "coordinator/data/service/stream_calls.h"
#include "coordinator/data/service/sweep.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

class DataPlaneServiceImpl final : public internal::v1::DataPlaneService::Service {
 public:
  explicit DataPlaneServiceImpl(DataContext data) : data_(data) {}

  grpc::Status Resolve(grpc::ServerContext* call, const internal::v1::ResolveRequest* request,
                       internal::v1::ResolveResponse* response) override {
    return data_.admission.Serve(*call, "DataPlaneService/Resolve", request, [&](AdmittedCall&) -> absl::Status {
      internal::v1::ResolveRequest filled = *request;
      FillDefaults(*filled.mutable_spec());
      RETURN_IF_ERROR(ValidateJobSpec(filled.spec()));
      ASSIGN_OR_RETURN(Resolution resolution, ResolveJob(data_.stores, filled, request->spec()));
      AddNotes(resolution.notes, *call);
      *response->mutable_resolved() = std::move(resolution.resolved);
      return absl::OkStatus();
    });
  }

  grpc::Status Preview(grpc::ServerContext* call, const internal::v1::PreviewRequest* request,
                       internal::v1::PreviewResponse* response) override {
    return data_.admission.Serve(*call, "DataPlaneService/Preview", request, [&](AdmittedCall&) -> absl::Status {
      internal::v1::PreviewRequest filled = *request;
      FillDefaults(*filled.mutable_spec());
      RETURN_IF_ERROR(ValidateJobSpec(filled.spec()));
      ASSIGN_OR_RETURN(*response->mutable_preview(), PreviewTraining(data_.stores, filled));
      return absl::OkStatus();
    });
  }

  grpc::Status Sweep(grpc::ServerContext* call, grpc::ServerReader<internal::v1::SweepRequest>* reader,
                     internal::v1::SweepResponse* response) override {
    return data_.admission.Serve(*call, "DataPlaneService/Sweep", nullptr, [&](AdmittedCall& admitted) -> absl::Status {
      internal::v1::SweepRequest first;
      if (!reader->Read(&first)) return absl::CancelledError("the client has gone");
      ASSIGN_OR_RETURN(SweepResult swept, SweepAsOperation(*call, admitted, first, *reader));
      *response = std::move(swept.response);
      for (const v1::GarbageKind& kind : response->kinds()) {
        spdlog::info("{} {} {} of {} bytes", first.dry_run() ? "would remove" : "removed", kind.count(),
                     CategoryName(kind.category()), kind.bytes());
        if (!first.dry_run()) {
          data_.metrics.garbage_bytes.With({std::string(CategoryName(kind.category()))}).Increment(static_cast<double>(kind.bytes()));
        }
      }
      AddNotes(LogLost(swept.lost), *call);
      return swept.blobs;
    });
  }

  grpc::Status Stream(grpc::ServerContext* call, const internal::v1::StreamRequest* request,
                      grpc::ServerWriter<internal::v1::StepShare>* writer) override {
    return data_.admission.Serve(
        *call, "DataPlaneService/Stream", request, [&](AdmittedCall& admitted) -> absl::Status {
          admitted.subject = request->identity().job_id();
          RETURN_IF_ERROR(data_.gate.AdmitStream(*call, admitted.principal, request->identity(), request->resolved(),
                                                 TrainingDatasetsOf(request->resolved())));
          return RunStream(data_, *call, *request, *writer);
        });
  }

  grpc::Status StreamEvaluation(grpc::ServerContext* call, const internal::v1::StreamEvaluationRequest* request,
                                grpc::ServerWriter<internal::v1::StreamEvaluationResponse>* writer) override {
    return data_.admission.Serve(
        *call, "DataPlaneService/StreamEvaluation", request, [&](AdmittedCall& admitted) -> absl::Status {
          admitted.subject = request->identity().job_id();
          RETURN_IF_ERROR(data_.gate.AdmitStream(*call, admitted.principal, request->identity(), request->resolved(),
                                                 {request->dataset()}));
          return RunStreamEvaluation(data_, *call, *request, *writer);
        });
  }

  grpc::Status PublishMined(grpc::ServerContext* call, const internal::v1::PublishMinedRequest* request,
                            grpc::ServerWriter<internal::v1::PublishMinedResponse>* writer) override {
    return data_.admission.Serve(
        *call, "DataPlaneService/PublishMined", request, [&](AdmittedCall& admitted) -> absl::Status {
          admitted.subject = absl::StrCat(request->identity().job_id(), " ", request->spec().mine().out());
          RETURN_IF_ERROR(data_.gate.AdmitMined(*call, admitted.principal, *request));
          return RunPublishMined(data_, *call, *request, *writer);
        });
  }

  grpc::Status DeleteBlobs(grpc::ServerContext* call, const internal::v1::DeleteBlobsRequest* request,
                           internal::v1::DeleteBlobsResponse* response) override {
    return data_.admission.Serve(
        *call, "DataPlaneService/DeleteBlobs", request, [&](AdmittedCall& admitted) -> absl::Status {
          RETURN_IF_ERROR(CheckDigestCount(request->digests_size()));
          ASSIGN_OR_RETURN(const RemovalGate::Pass pass, data_.stores.removals.BeginRemoval());
          NeededBlobs kept;
          RETURN_IF_ERROR(AddBlobsOfModels(data_.stores, kept));  // the next sweep reports lost manifests
          const absl::Time let_go = data_.clock.Now() - absl::Milliseconds(request->let_go_milliseconds());
          for (const std::string& digest : request->digests()) {
            if (kept.digests.Has(digest)) continue;
            std::error_code error;
            const auto path = data_.stores.blobs->PathOf(digest);
            const uintmax_t bytes = path.ok() ? std::filesystem::file_size(*path, error) : 0;
            ASSIGN_OR_RETURN(const bool deleted, data_.stores.blobs->DeleteUnlessClaimed(digest, let_go));
            response->set_deleted(response->deleted() + deleted);
            if (deleted && !error) data_.metrics.garbage_bytes.With({"blobs"}).Increment(static_cast<double>(bytes));
          }
          admitted.subject = absl::StrCat(response->deleted(), " blobs");
          spdlog::info("{} deleted {} blobs", admitted.principal.name, response->deleted());
          return absl::OkStatus();
        });
  }

 private:
  // Logs them, and returns notes for the caller.
  static std::vector<std::string> LogLost(const std::vector<LostManifest>& lost) {
    constexpr size_t kMostLogged = 20, kMostNotes = 7;
    std::vector<std::string> notes;
    for (size_t i = 0; i < std::min(lost.size(), kMostLogged); ++i) {
      const std::string text = DescribeLost(lost[i]);
      spdlog::warn("{}", text);
      if (i < kMostNotes) notes.push_back(text);
    }
    if (lost.size() > kMostLogged) spdlog::warn("{} more manifests can never be read", lost.size() - kMostLogged);
    if (lost.size() > kMostNotes) notes.push_back(absl::StrCat(lost.size() - kMostNotes, " more manifests can never be read"));
    return notes;
  }

  absl::StatusOr<SweepResult> SweepAsOperation(const grpc::ServerContext& call, const AdmittedCall& admitted,
                                               const internal::v1::SweepRequest& first,
                                               grpc::ServerReader<internal::v1::SweepRequest>& more) const {
    const auto operation = data_.operations.Begin({.kind = v1::OPERATION_KIND_SWEEP,
                                                   .subject = first.dry_run() ? "dry run" : "",
                                                   .owner = admitted.principal.name});
    if (!first.dry_run()) data_.sources.DropUnused();  // a dataset that is held stays
    const auto next = [&](internal::v1::SweepRequest& request) { return more.Read(&request); };
    auto swept = SweepStores(data_.stores, first, next, data_.clock.Now(), [&](size_t done, size_t total, uint64_t bytes) {
      RETURN_IF_ERROR(operation->Check());
      RETURN_IF_ERROR(CheckAlive(data_, call));
      operation->Report({.activity = first.dry_run() ? "looking" : "removing",
                         .done = static_cast<double>(done) / static_cast<double>(total),
                         .bytes = bytes,
                         .items = done});
      return absl::OkStatus();
    });
    const GarbageTotals totals = swept.ok() ? TotalsOf(swept->response.kinds()) : GarbageTotals();
    absl::Status status = swept.status();
    if (swept.ok() && !swept->blobs.ok()) {
      status = absl::InternalError(
          absl::StrCat("no blobs were removed, because a manifest cannot be read now, and it may need any of them: ",
                       std::string(swept->blobs.message()), ". Other garbage: ", GarbageSummary(first.dry_run(), totals)));
    }
    const absl::Status ended = operation->End(status, GarbageSummary(first.dry_run(), totals));
    if (!swept.ok()) return ended;
    swept->blobs = ended;
    return swept;
  }

  const DataContext data_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDataPlaneService(DataContext context) {
  return std::make_unique<DataPlaneServiceImpl>(context);
}

}  // namespace muster
