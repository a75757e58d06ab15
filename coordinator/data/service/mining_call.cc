#include "coordinator/data/service/mining_call.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "coordinator/data/plan/document_numbering.h"
#include "coordinator/data/plan/evaluation_source.h"
#include "coordinator/data/plan/mining_edges.h"
#include "coordinator/data/service/import_publish.h"
#include "coordinator/data/service/ownership.h"
#include "coordinator/data/store/mined_dataset.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"

namespace muster {
namespace {

using muster::internal::v1::MinedNegatives;
using muster::internal::v1::PublishMinedRequest;
using muster::internal::v1::PublishMinedResponse;
using muster::v1::ImportReport;
using muster::v1::MineSpec;

constexpr absl::Duration kBetweenReports = absl::Milliseconds(200);

Principal OwnerOf(const PublishMinedRequest& request) { return {Role::kSubmitter, request.resolved().mine_owner()}; }

// Sends reports while the dataset is written: they show the rank that the call is still running. A newer attempt ends
// the call.
class PublishProgress {
 public:
  PublishProgress(const DataContext& data, const grpc::ServerContext& call, const PublishMinedRequest& request,
                  grpc::ServerWriter<PublishMinedResponse>& writer)
      : data_(data), call_(call), request_(request), writer_(writer) {}

  absl::Status Report(double done) {
    RETURN_IF_ERROR(CheckAlive(data_, call_));
    RETURN_IF_ERROR(data_.fence.Admit(request_.identity().job_id(), request_.identity().attempt()));
    const absl::Duration now = data_.clock.Monotonic();
    if (now - told_ < kBetweenReports) return absl::OkStatus();
    told_ = now;
    PublishMinedResponse response;
    response.set_done(done);
    return writer_.Write(response) ? absl::OkStatus() : absl::CancelledError("the client has gone");
  }

 private:
  const DataContext& data_;
  const grpc::ServerContext& call_;
  const PublishMinedRequest& request_;
  grpc::ServerWriter<PublishMinedResponse>& writer_;
  absl::Duration told_ = -absl::InfiniteDuration();
};

absl::StatusOr<MinedNegatives> ReadMined(const DataContext& data, const std::string& digest) {
  RETURN_IF_ERROR(data.stores.blobs->Touch(digest));
  ASSIGN_OR_RETURN(const auto path, data.stores.blobs->PathOf(digest));
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  if (Sha256Hex(file.bytes()) != digest) {
    RETURN_IF_ERROR(data.stores.blobs->SetAsideIfDamaged(digest).status());
    return absl::DataLossError(
        absl::StrCat("mined: blob ", digest.substr(0, 12), ": is damaged on the data server's disk"));
  }
  MinedNegatives mined;
  if (file.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !mined.ParseFromArray(file.bytes().data(), static_cast<int>(file.size()))) {
    return absl::InvalidArgumentError("mined: the blob holds no mined negatives");
  }
  return mined;
}

absl::StatusOr<std::vector<MinedPair>> PairsOf(const Dataset& dataset, const std::string& split, const MinedNegatives& mined) {
  const auto found = std::find(dataset.splits().begin(), dataset.splits().end(), split);
  if (found == dataset.splits().end()) {
    return absl::InvalidArgumentError(absl::StrCat("mined: the dataset has no split \"", split, "\""));
  }
  const std::vector<uint32_t> queries = EvaluatedQueries(dataset, static_cast<uint32_t>(found - dataset.splits().begin()));
  const std::vector<uint32_t> documents = NumberDocuments(dataset).documents;
  uint64_t total = 0;
  for (const uint32_t count : mined.counts()) total += count;
  if (static_cast<size_t>(mined.counts_size()) != queries.size() || total != static_cast<uint64_t>(mined.documents_size()) ||
      std::ranges::any_of(mined.documents(), [&](uint32_t number) { return number >= documents.size(); })) {
    return absl::InvalidArgumentError("mined: the blob belongs to another dataset or split");
  }
  std::vector<MinedPair> pairs;
  pairs.reserve(total);
  for (int query = 0, next = 0; query < mined.counts_size(); ++query) {
    for (const int end = next + static_cast<int>(mined.counts(query)); next < end; ++next) {
      pairs.push_back({queries[query], documents[mined.documents(next)]});
    }
  }
  return pairs;
}

absl::StatusOr<ImportStart> BeginMined(const DataContext& data, const PublishMinedRequest& request) {
  const MineSpec& mine = request.spec().mine();
  const std::string& digest = request.resolved().mine_dataset();
  ImportStart start;
  start.adds = true;
  ASSIGN_OR_RETURN(start.base, data.stores.shelf->Open(digest));
  if (const auto named = data.stores.catalogue->GetDataset(mine.dataset()); named.ok()) start.base_bytes = named->bytes();
  const auto existing = data.stores.catalogue->GetDataset(mine.out());
  if (absl::IsNotFound(existing.status())) return start;
  RETURN_IF_ERROR(existing.status());
  if (mine.out() != mine.dataset()) {
    return WithReason(absl::AlreadyExistsError(absl::StrCat("mine.out: dataset \"", mine.out(), "\" was created meanwhile: ",
                                                            Describe(*existing), ". Mine again with another name.")),
                      "DATASET_EXISTS");
  }
  RETURN_IF_ERROR(CheckOwner(OwnerOf(request), *existing));
  if (existing->digest() != digest) {
    return WithReason(
        absl::AbortedError(absl::StrCat("mine.out: dataset \"", mine.out(), "\" changed since the job was submitted (now: ",
                                        Describe(*existing), "). Mine again, or with another name.")),
        "NAME_CHANGED");
  }
  start.before = *existing;
  return start;
}

// A note on how the negatives were found, which `muster data report` shows.
std::string ProvenanceOf(const PublishMinedRequest& request) {
  const MineSpec& mine = request.spec().mine();
  const auto& model = request.spec().model();
  std::string text = absl::StrCat("mined by job ", request.identity().job_id(), " with ",
                                  model.from().empty() ? model.preset() : model.from(), " from dataset ", mine.dataset(), " ",
                                  request.resolved().mine_dataset().substr(0, 12), ", split ", mine.split(), ": ranks ",
                                  mine.ranks().first(), " to ", mine.ranks().last(), ", at most ", mine.per_query(),
                                  " per query, ", mine.sampling() == muster::v1::SAMPLING_RANDOM
                                                      ? absl::StrCat("at random by seed ", request.spec().seed())
                                                      : "the highest");
  if (mine.relative_margin() > 0) {
    absl::StrAppend(&text, ", at most ", mine.relative_margin(), " of the lowest positive's score");
  }
  if (mine.has_absolute_margin()) {
    absl::StrAppend(&text, ", at least ", mine.absolute_margin(), " below the lowest positive's score");
  }
  return text;
}

absl::StatusOr<ImportReport> Publish(const DataContext& data, const PublishMinedRequest& request, const MutationRequest& asked,
                                     PublishProgress& progress) {
  RETURN_IF_ERROR(progress.Report(0));
  const MineSpec& mine = request.spec().mine();
  ASSIGN_OR_RETURN(ImportStart start, BeginMined(data, request));
  start.progress = [&progress](double done) { return progress.Report(done); };
  ASSIGN_OR_RETURN(const MinedNegatives mined, ReadMined(data, request.blob()));
  ASSIGN_OR_RETURN(const std::vector<MinedPair> pairs, PairsOf(*start.base, mine.split(), mined));
  ASSIGN_OR_RETURN(ScratchFolder scratch, ScratchFolder::Make(data.stores.state->scratch(), "mined"));
  ASSIGN_OR_RETURN(const auto writer, DatasetWriter::Create(scratch.path()));
  ASSIGN_OR_RETURN(DatasetFacts facts, WriteMined(*start.base, pairs, mine.split(), kMinedSource, *writer));
  ImportReport report;
  *report.mutable_dataset() = std::move(facts.dataset);
  report.mutable_dataset()->set_name(mine.out());
  report.set_schema("mined");
  report.add_notes(ProvenanceOf(request));
  RETURN_IF_ERROR(PublishImport(data, OwnerOf(request), start, asked, std::move(scratch), report));
  return report;
}

}  // namespace

absl::Status RunPublishMined(const DataContext& data, const grpc::ServerContext& call, const PublishMinedRequest& request,
                             grpc::ServerWriter<PublishMinedResponse>& writer) {
  const std::string& job = request.identity().job_id();
  if (!request.spec().has_mine() || job.empty()) return absl::InvalidArgumentError("mined: the job is not a mining job");
  RETURN_IF_ERROR(data.fence.Admit(job, request.identity().attempt()));
  const MutationRequest asked{.caller = request.resolved().mine_owner(),
                              .id = absl::StrCat("mine-", job),
                              .what = absl::StrCat("to publish mined dataset ", request.spec().mine().out()),
                              .body = ""};
  ASSIGN_OR_RETURN(const std::optional<std::string> first, FirstAnswer(*data.stores.catalogue, asked, data.clock.Now()));
  ImportReport report;
  if (first.has_value()) {
    RETURN_IF_ERROR(ReadAnswer(*first, report));
  } else {
    PublishProgress progress(data, call, request, writer);
    ASSIGN_OR_RETURN(report, Publish(data, request, asked, progress));
    spdlog::info("job {} mined {} negatives into {} as {}", job, report.added().judgments(), report.dataset().name(),
                 report.dataset().digest().substr(0, 12));
  }
  PublishMinedResponse response;
  *response.mutable_dataset() = report.dataset();
  return writer.Write(response) ? absl::OkStatus() : absl::CancelledError("the client has gone");
}

}  // namespace muster
