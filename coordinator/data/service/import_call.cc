#include "coordinator/data/service/import_call.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/import/importer.h"
#include "coordinator/data/service/import_digest.h"
#include "coordinator/data/service/import_publish.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::ImportDatasetRequest;
using muster::v1::ImportDatasetResponse;
using muster::v1::ImportReport;

constexpr absl::Duration kProgressInterval = absl::Milliseconds(200);
constexpr uint64_t kRoomStep = 64 << 20;  // bytes between two checks of the disk
constexpr size_t kMaxChunk = 1 << 20;

// The caller and the header of an import, and its operation, which other callers can see. The operation begins with the first
// file, so a client that only checks whether the header is accepted leaves none.
class ImportOperation {
 public:
  ImportOperation(const DataContext& data, const std::string& owner, const grpc::ServerContext& call,
                  const muster::v1::ImportHeader& header)
      : data_(data), owner_(owner), call_(call), header_(header) {}

  void Begin() {
    if (handle_ != nullptr) return;
    handle_ = data_.operations.Begin({.kind = muster::v1::OPERATION_KIND_IMPORT,
                                      .subject = header_.name(),
                                      .owner = owner_,
                                      .total_bytes = header_.total_bytes(),
                                      .interrupt = [&call = call_] { call.TryCancel(); }});
  }
  std::string id() const { return handle_ == nullptr ? "" : handle_->id(); }
  void Report(const std::string& activity, uint64_t bytes, uint64_t records) {
    if (handle_ == nullptr) return;
    const double total = static_cast<double>(header_.total_bytes());
    handle_->Report({.activity = activity,
                     .done = total > 0 ? static_cast<double>(bytes) / total : 0,
                     .bytes = bytes,
                     .items = records});
  }
  // Not OK once the import need not continue.
  absl::Status Check() const {
    if (handle_ != nullptr) RETURN_IF_ERROR(WithContext(handle_->Check(), "import"));
    return CheckAlive(data_, call_);
  }
  absl::Status End(const absl::Status& status, const std::string& what) {
    if (handle_ == nullptr) return status;
    const absl::Status answer = handle_->End(status, what);
    return answer == status ? status : WithContext(answer, "import");  // canceled
  }

 private:
  const DataContext& data_;
  const std::string& owner_;
  const grpc::ServerContext& call_;
  const muster::v1::ImportHeader& header_;
  std::unique_ptr<Operations::Handle> handle_;
};

// Reads files until the client has no more, and reports progress.
class ImportReader {
 public:
  ImportReader(const DataContext& data, ImportOperation& operation, ImportStream& stream, Importer& importer)
      : data_(data), operation_(operation), stream_(stream), importer_(importer) {}

  absl::Status ReadAll() {
    Tell("reading");  // announced now, because errors of the header have been returned already
    ImportDatasetRequest request;
    while (stream_.Read(&request)) RETURN_IF_ERROR(Take(request));
    return operation_.Check();
  }

  std::string FinishDigest() { return files_.Finish(); }

  void Tell(const std::string& activity) {
    told_ = data_.clock.Monotonic();
    operation_.Report(activity, importer_.bytes(), importer_.records());
    ImportDatasetResponse response;
    response.mutable_progress()->set_operation_id(operation_.id());
    response.mutable_progress()->set_bytes(importer_.bytes());
    response.mutable_progress()->set_records(importer_.records());
    response.mutable_progress()->set_activity(activity);
    stream_.Write(response);
  }

 private:
  absl::Status Take(const ImportDatasetRequest& request) {
    switch (request.part_case()) {
      case ImportDatasetRequest::kFile:
        operation_.Begin();
        is_blob_ = !request.file().blob().empty();
        files_.BeginFile(request.file());
        RETURN_IF_ERROR(importer_.BeginFile(request.file().path(), request.file().split()));
        return is_blob_ ? TakeBlob(request.file()) : LookAround();
      case ImportDatasetRequest::kChunk:
        if (request.chunk().size() > kMaxChunk) return absl::InvalidArgumentError("import: a chunk has at most 1 MiB");
        if (is_blob_) return absl::InvalidArgumentError("import: a chunk came for a file that is a stored blob");
        files_.Chunk(request.chunk());
        return TakeChunk(request.chunk());
      case ImportDatasetRequest::kHeader:
        return absl::InvalidArgumentError("import: the header comes once, as first message");
      case ImportDatasetRequest::PART_NOT_SET: return absl::InvalidArgumentError("import: a message without content");
    }
    return absl::InvalidArgumentError("import: a message of a kind that this server does not know");
  }

  absl::Status TakeChunk(std::string_view bytes) {
    RETURN_IF_ERROR(importer_.Chunk(bytes));
    return LookAround();
  }

  // From here on the blob is as new as one just stored, and a mapped file stays readable whatever happens to its name.
  absl::Status TakeBlob(const muster::v1::ImportFile& file) {
    const std::string place = absl::StrCat(file.path(), ": blob");
    RETURN_IF_ERROR(WithContext(data_.stores.blobs->Touch(file.blob()), place));
    ASSIGN_OR_RETURN(const auto path, data_.stores.blobs->PathOf(file.blob()));
    ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
    Sha256 sha;
    for (size_t begin = 0; begin < mapped.size(); begin += kMaxChunk) {
      const std::string_view chunk = mapped.bytes().substr(begin, kMaxChunk);
      sha.Update(chunk);
      RETURN_IF_ERROR(TakeChunk(chunk));
    }
    if (sha.FinishHex() == file.blob()) return absl::OkStatus();
    RETURN_IF_ERROR(data_.stores.blobs->SetAsideIfDamaged(file.blob()).status());
    return absl::DataLossError(absl::StrCat(place, " ", file.blob().substr(0, 12),
                                            ": its bytes on the data server's disk are damaged. Import again: the file is "
                                            "sent again."));
  }

  // At every message or piece of a blob: checks whether to continue and whether the disk has space, and reports
  // progress.
  absl::Status LookAround() {
    RETURN_IF_ERROR(operation_.Check());
    if (importer_.bytes() >= next_look_) {
      RETURN_IF_ERROR(data_.stores.state->CheckRoom(kRoomStep));
      next_look_ = importer_.bytes() + kRoomStep;
    }
    if (data_.clock.Monotonic() - told_ >= kProgressInterval) Tell("reading");
    return absl::OkStatus();
  }

  const DataContext& data_;
  ImportOperation& operation_;
  ImportStream& stream_;
  Importer& importer_;
  FilesDigest files_;
  bool is_blob_ = false;  // the current file is a stored blob
  absl::Duration told_ = -absl::InfiniteDuration();
  uint64_t next_look_ = 0;
};

// A broken connection may look like the end of the client's messages; the announced size distinguishes the two.
absl::Status CheckComplete(uint64_t bytes, uint64_t announced) {
  if (announced == 0 || bytes == announced) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("import: ", bytes, " of ", announced,
                                         " bytes came: the connection broke, or a file changed. Import again."));
}

absl::StatusOr<ImportReport> ReadAndPublish(const DataContext& data, const Principal& caller,
                                            const muster::v1::ImportHeader& header, MutationRequest& asked,
                                            ImportOperation& operation, ImportStream& stream) {
  ASSIGN_OR_RETURN(const ImportStart start, BeginImport(data, caller, header));
  ASSIGN_OR_RETURN(ScratchFolder scratch, ScratchFolder::Make(data.stores.state->scratch(), "import"));
  ASSIGN_OR_RETURN(const std::unique_ptr<Importer> importer, Importer::Create(header, scratch.path(), start.base));
  ImportReader reader(data, operation, stream, *importer);
  RETURN_IF_ERROR(reader.ReadAll());
  RETURN_IF_ERROR(CheckComplete(importer->bytes(), header.total_bytes()));
  if (header.total_bytes() == 0) RETURN_IF_ERROR(data.budget.CheckRoom(importer->bytes()));
  reader.Tell("writing");
  ASSIGN_OR_RETURN(ImportReport report, importer->Finish());
  RETURN_IF_ERROR(operation.Check());
  asked.body += reader.FinishDigest();
  RETURN_IF_ERROR(PublishImport(data, caller, start, asked, std::move(scratch), report));
  data.metrics.import_records.Increment(static_cast<double>(importer->records()));
  return report;
}

// The request id was used before. Reads the files only for their digest, and returns the first report if they are the same.
absl::StatusOr<ImportReport> AnswerAgain(const DataContext& data, const muster::v1::ImportHeader& header,
                                         MutationRequest& asked, const ImportOperation& operation, ImportStream& stream) {
  ImportDatasetResponse reading;
  reading.mutable_progress()->set_activity("reading");
  stream.Write(reading);
  FilesDigest files;
  uint64_t bytes = 0;
  bool all_in_chunks = true;
  ImportDatasetRequest request;
  while (stream.Read(&request)) {
    RETURN_IF_ERROR(operation.Check());
    if (request.has_file()) files.BeginFile(request.file());
    if (request.has_file() && !request.file().blob().empty()) all_in_chunks = false;
    files.Chunk(request.chunk());
    bytes += request.chunk().size();
  }
  RETURN_IF_ERROR(operation.Check());
  if (all_in_chunks) RETURN_IF_ERROR(CheckComplete(bytes, header.total_bytes()));
  asked.body += files.Finish();
  ASSIGN_OR_RETURN(const std::optional<std::string> first, FirstAnswer(*data.stores.catalogue, asked, data.clock.Now()));
  if (!first.has_value()) return absl::AbortedError("import: the first request with this id was just forgotten. Import again.");
  ImportReport report;
  RETURN_IF_ERROR(ReadAnswer(*first, report));
  return report;
}

MutationRequest RequestOf(const std::string& caller, const muster::v1::ImportHeader& header) {
  return {caller, header.request_id(), absl::StrCat(header.add() ? "to add to dataset " : "to import dataset ", header.name()),
          HeaderDigest(header)};
}

}  // namespace

absl::Status RunImport(const DataContext& data, AdmittedCall& admitted, const grpc::ServerContext& call,
                       ImportStream& stream) {
  const absl::Duration start = data.clock.Monotonic();
  ImportDatasetRequest request;
  if (!stream.Read(&request) || !request.has_header()) {
    return absl::InvalidArgumentError("import: the first message must be the header");
  }
  admitted.subject = request.header().name();
  ImportOperation operation(data, admitted.principal.name, call, request.header());
  MutationRequest asked = RequestOf(admitted.principal.name, request.header());
  ASSIGN_OR_RETURN(const bool again, WasAskedBefore(*data.stores.catalogue, asked));
  if (!again) RETURN_IF_ERROR(data.budget.CheckRoom(request.header().total_bytes()));
  absl::StatusOr<ImportReport> report =
      again ? AnswerAgain(data, request.header(), asked, operation, stream)
            : ReadAndPublish(data, admitted.principal, request.header(), asked, operation, stream);
  if (!report.ok()) {
    if (data.stopping) {
      report = WithReason(absl::UnavailableError("import: the data server shuts down, and keeps nothing of it. Import again "
                                                 "once it is back."),
                          "SHUTTING_DOWN");
    }
    const absl::Status status = operation.End(report.status(), "");
    spdlog::info("import of {} refused: {}", request.header().name(), status.ToString());
    return status;
  }
  operation.End(absl::OkStatus(), absl::StrCat("imported ", report->dataset().queries(), " queries and ",
                                               report->dataset().passages(), " documents"))
      .IgnoreError();
  if (!again) data.metrics.import_seconds.Observe(absl::ToDoubleSeconds(data.clock.Monotonic() - start));
  spdlog::info("{} {} {} as {}: {} queries, {} documents", admitted.principal.name, again ? "sent again the import of" : "imported",
               report->dataset().name(),
               report->dataset().digest().substr(0, 12), report->dataset().queries(), report->dataset().passages());
  ImportDatasetResponse response;
  *response.mutable_report() = *std::move(report);
  stream.Write(response);
  return absl::OkStatus();
}

}  // namespace muster
