#include "client/report_ids.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/query_values.h"
#include "common/status.h"
#include "common/view.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::DataService;
using muster::v1::ExportDatasetResponse;

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

// The value of "_id", which is the first key of a record. Does not read the rest, which is a text.
absl::StatusOr<std::string> IdOfRecord(std::string_view line) {
  constexpr std::string_view kBegin = "{\"_id\":\"";
  if (absl::StartsWith(ToAbsl(line), ToAbsl(kBegin))) {
    size_t end = kBegin.size();
    while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
    if (end < line.size()) {
      const auto id = nlohmann::json::parse(line.substr(kBegin.size() - 1, end + 2 - kBegin.size()), nullptr, false);
      if (id.is_string()) return id.get<std::string>();
    }
  }
  return absl::InternalError("the server's export has a document without an id");
}

absl::Status NameHasOtherContent(const muster::v1::Job& job, const std::string& why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the ids of job ", job.id(), " are no longer known: dataset \"", job.spec().report().dataset(), "\" ",
                   why));
}

absl::Status CheckContent(DataService::Stub& stub, const muster::v1::Job& job) {
  muster::v1::GetDatasetRequest request;
  request.set_name(job.spec().report().dataset());
  const auto found = Call(stub, &DataService::Stub::GetDataset, request);
  if (absl::IsNotFound(found.status())) return NameHasOtherContent(job, "was removed.");
  if (!found.ok()) return found.status();
  if (found->dataset().digest() == job.resolved().report_dataset()) return absl::OkStatus();
  return NameHasOtherContent(job, absl::StrCat("has other content now (", found->dataset().digest().substr(0, 12),
                                               ", and the job used ", job.resolved().report_dataset().substr(0, 12), ")."));
}

absl::Status ReadExport(DataService::Stub& stub, const std::string& dataset, ReportIdsReader& reader) {
  muster::v1::ExportDatasetRequest request;
  request.set_name(dataset);
  request.set_format(muster::v1::DATASET_FORMAT_BEIR);
  grpc::ClientContext context;
  const auto stream = stub.ExportDataset(&context, request);
  ExportDatasetResponse part;
  absl::Status read;
  while (read.ok() && !reader.IsComplete() && stream->Read(&part)) read = reader.Take(part);
  const bool stopped = !read.ok() || reader.IsComplete();
  if (stopped) context.TryCancel();
  const absl::Status status = FromGrpc(stream->Finish());
  return stopped ? read : ExplainUnreachable(status);
}

}  // namespace

ReportIdsReader::ReportIdsReader(const std::string& split, bool documents)
    : qrels_(absl::StrCat("qrels/", split, ".tsv")), needs_documents_(documents) {}

absl::Status ReportIdsReader::Take(const ExportDatasetResponse& part) {
  if (part.part_case() == ExportDatasetResponse::kFile) {
    EndFile();
    file_ = File::kOther;
    if (part.file() == qrels_) file_ = File::kQrels;
    if (part.file() == "corpus.jsonl" && needs_documents_) file_ = File::kCorpus;
    is_header_ = true;
    return absl::OkStatus();
  }
  if (part.part_case() != ExportDatasetResponse::kChunk || file_ == File::kOther) return absl::OkStatus();
  std::string_view chunk = part.chunk();
  for (size_t end = chunk.find('\n'); end != std::string_view::npos; end = chunk.find('\n')) {
    if (rest_.empty()) {
      RETURN_IF_ERROR(TakeLine(chunk.substr(0, end)));
    } else {
      rest_.append(chunk.substr(0, end));
      RETURN_IF_ERROR(TakeLine(rest_));
      rest_.clear();
    }
    chunk.remove_prefix(end + 1);
  }
  rest_.append(chunk);
  return absl::OkStatus();
}

absl::Status ReportIdsReader::TakeLine(std::string_view line) {
  if (file_ == File::kCorpus) {
    ASSIGN_OR_RETURN(ids_.documents.emplace_back(), IdOfRecord(line));
    return absl::OkStatus();
  }
  // The judgments of a query follow each other. Queries with a judgment are those of the evaluation, in its order.
  if (std::exchange(is_header_, false)) return absl::OkStatus();
  const std::string_view query = line.substr(0, line.find('\t'));
  if (ids_.queries.empty() || ids_.queries.back() != query) ids_.queries.emplace_back(query);
  return absl::OkStatus();
}

void ReportIdsReader::EndFile() {
  has_queries_ = has_queries_ || file_ == File::kQrels;
  has_documents_ = has_documents_ || file_ == File::kCorpus;
  file_ = File::kOther;
}

absl::StatusOr<ReportIds> ReportIdsReader::Finish() {
  EndFile();
  if (!has_queries_) return absl::InternalError(absl::StrCat("the server's export has no ", qrels_));
  if (!IsComplete()) return absl::InternalError("the server's export has no corpus.jsonl");
  for (const std::string& id : ids_.documents) {
    if (id.find(kReplacementCharacter) == std::string::npos) continue;
    // Numbers follow the order of the original bytes.
    return absl::FailedPreconditionError("document ids that are not UTF-8 cannot be joined with the numbers of a ranking");
  }
  std::sort(ids_.documents.begin(), ids_.documents.end(), std::greater<>());
  return std::move(ids_);
}

absl::StatusOr<ReportIds> FetchReportIds(const std::shared_ptr<grpc::Channel>& data, const muster::v1::Job& job,
                                         bool documents) {
  const auto stub = DataService::NewStub(data);
  RETURN_IF_ERROR(CheckContent(*stub, job));
  ReportIdsReader reader(job.spec().report().split(), documents);
  RETURN_IF_ERROR(ReadExport(*stub, job.spec().report().dataset(), reader));
  ASSIGN_OR_RETURN(ReportIds ids, reader.Finish());
  RETURN_IF_ERROR(CheckContent(*stub, job));  // the name may have been replaced meanwhile
  const muster::v1::Evaluation* const report = ReportOf(job);
  if (documents && report != nullptr && ids.documents.size() != report->documents()) {
    return absl::InternalError(absl::StrCat("the server's export has ", ids.documents.size(),
                                            " documents, and the evaluation had ",
                                            report->documents()));
  }
  return ids;
}

}  // namespace muster
