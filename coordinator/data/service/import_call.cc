#include "coordinator/data/service/import_call.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/status.h"
#include "coordinator/data/import/importer.h"
#include "coordinator/data/service/import_publish.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::ImportReport;
using muster::v1::ImportRequest;
using muster::v1::ImportResponse;

constexpr absl::Duration kProgressInterval = absl::Milliseconds(200);
constexpr uint64_t kRoomStep = 64 << 20;  // bytes between two looks at the disk
constexpr size_t kMaxChunk = 1 << 20;

absl::Status Take(Importer& importer, const ImportRequest& request) {
  switch (request.part_case()) {
    case ImportRequest::kFile:
      if (!request.file().blob().empty()) return absl::UnimplementedError("blob: this data server does not know it");
      return importer.BeginFile(request.file().path(), request.file().split());
    case ImportRequest::kChunk:
      if (request.chunk().size() > kMaxChunk) return absl::InvalidArgumentError("import: a chunk has at most 1 MiB");
      return importer.Chunk(request.chunk());
    case ImportRequest::kHeader: return absl::InvalidArgumentError("import: the header comes once, as first message");
    case ImportRequest::PART_NOT_SET: return absl::InvalidArgumentError("import: a message without content");
  }
  return absl::InvalidArgumentError("import: a message of a kind that this server does not know");
}

// Reads files until the client has no more, and tells how far it is.
class ImportReader {
 public:
  ImportReader(const DataContext& data, ImportStream& stream, Importer& importer)
      : data_(data), stream_(stream), importer_(importer) {}

  absl::Status ReadAll(const grpc::ServerContext& call) {
    ImportRequest request;
    while (stream_.Read(&request)) {
      RETURN_IF_ERROR(CheckAlive(data_, call));
      RETURN_IF_ERROR(Take(importer_, request));
      if (importer_.bytes() >= next_look_) {
        RETURN_IF_ERROR(data_.stores.state->CheckRoom(kRoomStep));
        next_look_ = importer_.bytes() + kRoomStep;
      }
      if (data_.clock.Monotonic() - told_ >= kProgressInterval) Tell("reading");
    }
    return CheckAlive(data_, call);
  }

  void Tell(const std::string& activity) {
    told_ = data_.clock.Monotonic();
    ImportResponse response;
    response.mutable_progress()->set_bytes(importer_.bytes());
    response.mutable_progress()->set_records(importer_.records());
    response.mutable_progress()->set_activity(activity);
    stream_.Write(response);
  }

 private:
  const DataContext& data_;
  ImportStream& stream_;
  Importer& importer_;
  absl::Duration told_ = -absl::InfiniteDuration();
  uint64_t next_look_ = 0;
};

// A broken connection may look like the end of the client's messages; the announced size tells them apart.
absl::Status CheckComplete(uint64_t bytes, uint64_t announced) {
  if (announced == 0 || bytes == announced) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("import: ", bytes, " of ", announced,
                                         " bytes came: the connection broke, or a file changed. Import anew."));
}

absl::StatusOr<ImportReport> ReadAndPublish(const DataContext& data, const Principal& caller,
                                            const grpc::ServerContext& call, const muster::v1::ImportHeader& header,
                                            ImportStream& stream) {
  ASSIGN_OR_RETURN(const std::optional<muster::v1::Dataset> before, LookForImport(data, caller, header));
  ASSIGN_OR_RETURN(ScratchFolder scratch, ScratchFolder::Make(data.stores.state->scratch(), "import"));
  ASSIGN_OR_RETURN(const std::unique_ptr<Importer> importer, Importer::Create(header, scratch.path()));
  ImportReader reader(data, stream, *importer);
  RETURN_IF_ERROR(reader.ReadAll(call));
  RETURN_IF_ERROR(CheckComplete(importer->bytes(), header.total_bytes()));
  if (header.total_bytes() == 0) RETURN_IF_ERROR(data.budget.CheckRoom(importer->bytes()));
  reader.Tell("writing");
  ASSIGN_OR_RETURN(ImportReport report, importer->Finish());
  RETURN_IF_ERROR(CheckAlive(data, call));
  RETURN_IF_ERROR(PublishImport(data, caller, before, std::move(scratch), report));
  data.metrics.import_records.Increment(static_cast<double>(importer->records()));
  return report;
}

}  // namespace

absl::Status RunImport(const DataContext& data, AdmittedCall& admitted, const grpc::ServerContext& call,
                       ImportStream& stream) {
  const absl::Duration start = data.clock.Monotonic();
  ImportRequest request;
  if (!stream.Read(&request) || !request.has_header()) {
    return absl::InvalidArgumentError("import: the first message must be the header");
  }
  admitted.subject = request.header().name();
  RETURN_IF_ERROR(data.budget.CheckRoom(request.header().total_bytes()));
  absl::StatusOr<ImportReport> report = ReadAndPublish(data, admitted.principal, call, request.header(), stream);
  if (!report.ok()) {
    if (data.stopping) {
      report = WithReason(absl::UnavailableError("import: the data server shuts down, and keeps nothing of it. Import anew "
                                                 "once it is back."),
                          "SHUTTING_DOWN");
    }
    spdlog::info("import of {} refused: {}", request.header().name(), report.status().ToString());
    return report.status();
  }
  data.metrics.import_seconds.Observe(absl::ToDoubleSeconds(data.clock.Monotonic() - start));
  spdlog::info("{} imported {} as {}: {} queries, {} documents", admitted.principal.name, report->dataset().name(),
               report->dataset().digest().substr(0, 12), report->dataset().queries(), report->dataset().passages());
  ImportResponse response;
  *response.mutable_report() = *std::move(report);
  stream.Write(response);
  return absl::OkStatus();
}

}  // namespace muster
