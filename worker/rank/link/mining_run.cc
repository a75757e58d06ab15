#include "worker/rank/link/mining_run.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/rpc/errors.h"
#include "common/rpc/retry.h"
#include "common/status.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "worker/rank/evaluate/miner.h"
#include "worker/rank/link/evaluation_stream.h"
#include "worker/rank/link/rank_setup.h"

namespace muster {
namespace {

using muster::internal::v1::DataPlaneService;
using muster::internal::v1::PublishMinedRequest;
using muster::internal::v1::PublishMinedResponse;

constexpr char kMining[] = "mining";
constexpr char kPublishing[] = "storing the mined dataset";

absl::StatusOr<EvaluationSource> OpenMining(const EvaluationContext& context) {
  muster::internal::v1::StreamEvaluationRequest request;
  *request.mutable_identity() = IdentityOf(context.config);
  *request.mutable_spec() = context.config.spec();
  *request.mutable_resolved() = context.config.resolved();
  request.set_dataset(context.config.resolved().mine_dataset());
  request.set_split(context.config.spec().mine().split());
  request.set_mining(true);
  return OpenEvaluation(context.data, request, context.watch);
}

// Errors that another attempt would get again.
absl::Status PermanentIfNamed(const absl::Status& status) {
  constexpr std::array<std::string_view, 3> kNames = {"DATASET_EXISTS", "NAME_CHANGED", "NOT_OWNER"};
  if (std::ranges::find(kNames, ReasonOf(status)) == kNames.end()) return status;
  return absl::InvalidArgumentError(status.message());
}

absl::StatusOr<muster::v1::Dataset> PublishOnce(const EvaluationContext& context, const PublishMinedRequest& request) {
  grpc::ClientContext call;
  const auto reader = DataPlaneService::NewStub(context.data)->PublishMined(&call, request);
  PublishMinedResponse response;
  muster::v1::Dataset dataset;
  while (reader->Read(&response)) {
    if (response.has_dataset()) dataset = response.dataset();
    context.progress.Activity(kPublishing, response.has_dataset() ? 1 : response.done());
  }
  RETURN_IF_ERROR(FromUncancelledCall(reader->Finish()));
  if (dataset.digest().empty()) return absl::InternalError("the data server published the mined dataset without naming it");
  return dataset;
}

// Retries until the data server has published the dataset, however long that takes, or the rank is asked to stop. A retry gets
// the first call's result.
absl::StatusOr<muster::v1::Dataset> Publish(const EvaluationContext& context, const std::string& blob,
                                            const std::atomic<StopRequest>& stop) {
  const ReachabilityWatch::Wait waiting(context.watch);
  context.progress.Activity(kPublishing);
  PublishMinedRequest request;
  *request.mutable_identity() = IdentityOf(context.config);
  *request.mutable_spec() = context.config.spec();
  *request.mutable_resolved() = context.config.resolved();
  request.set_blob(blob);
  absl::Duration pause = absl::Milliseconds(100);
  while (stop.load() == StopRequest::kNone) {
    absl::StatusOr<muster::v1::Dataset> dataset = PublishOnce(context, request);
    if (dataset.ok()) return dataset;
    if (!IsRetryable(dataset.status())) return PermanentIfNamed(dataset.status());
    spdlog::warn("the mined dataset is not published: {}; trying again", std::string(dataset.status().message()));
    PauseBeforeRetry(*context.data, pause);
    pause = std::min(2 * pause, absl::Duration(absl::Seconds(5)));
  }
  return absl::CancelledError("stopped before the mined dataset was published");
}

// Rank 0's summary: "216 negatives for 54 queries, in dataset topics-mined".
absl::StatusOr<std::string> StoreAndPublish(const EvaluationContext& context, BlobClient& blobs, const Mined& mined,
                                            const std::atomic<StopRequest>& stop) {
  ASSIGN_OR_RETURN(const std::string blob, blobs.PutBytes(mined.negatives.SerializeAsString()));
  ASSIGN_OR_RETURN(const muster::v1::Dataset dataset, Publish(context, blob, stop));
  std::string summary = absl::StrCat(mined.negatives.documents_size(), " negatives for ", mined.queries,
                                     " queries, in dataset ", dataset.name());
  if (mined.short_queries > 0) {
    absl::StrAppend(&summary, "; ", mined.short_queries, " queries have fewer than ", context.config.spec().mine().per_query());
  }
  return summary;
}

}  // namespace

absl::StatusOr<std::string> RunMining(const EvaluationContext& context, BlobClient& blobs,
                                      const std::atomic<StopRequest>& stop) {
  const muster::v1::JobSpec& spec = context.config.spec();
  context.progress.Activity(kMining);
  ASSIGN_OR_RETURN(EvaluationSource source, OpenMining(context));
  const EvaluatorOptions options{.tokenizer = context.tokenizer,
                                 .progress = [&](double done) { context.progress.Activity(kMining, done); }};
  ASSIGN_OR_RETURN(const Mined mined, Mine(context.encoder, context.group, std::move(source),
                                           MiningRules::Of(spec.mine(), spec.seed()), options));
  std::string summary;
  if (context.config.rank() == 0) {
    ASSIGN_OR_RETURN(summary, StoreAndPublish(context, blobs, mined, stop));
    spdlog::info("mined {}", summary);
  }
  // The other ranks wait for rank 0's result, so the job succeeds only if the dataset was published.
  ASSIGN_OR_RETURN(const auto summaries, context.group.AllGatherBytes(summary));
  return summaries[0];
}

}  // namespace muster
