#include "coordinator/data/service/export_call.h"

#include <string>
#include <vector>

#include "common/rpc/metadata.h"
#include "coordinator/data/store/dataset_export.h"

namespace muster {
namespace {

using muster::v1::ExportDatasetResponse;

constexpr size_t kExportChunk = 1 << 20;

class ExportStream {
 public:
  ExportStream(const DataContext& data, const grpc::ServerContext& call, grpc::ServerWriter<ExportDatasetResponse>& writer,
               uint64_t queries)
      : data_(data), call_(call), writer_(writer), queries_(queries) {}

  ExportSink Sink() {
    return {[this](const std::string& path) {
              response_.set_file(path);
              return Send();
            },
            [this](std::string_view bytes) { return Append(bytes); }};
  }

 private:
  absl::Status Append(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::string_view chunk = bytes.substr(0, kExportChunk);
      response_.set_chunk(chunk.data(), chunk.size());
      RETURN_IF_ERROR(Send());
      bytes.remove_prefix(chunk.size());
    }
    return absl::OkStatus();
  }

  absl::Status Send() {
    RETURN_IF_ERROR(CheckAlive(data_, call_));
    response_.set_total_queries(queries_);
    queries_ = 0;
    if (!writer_.Write(response_)) return absl::CancelledError("the client has gone");
    return absl::OkStatus();
  }

  const DataContext& data_;
  const grpc::ServerContext& call_;
  grpc::ServerWriter<ExportDatasetResponse>& writer_;
  uint64_t queries_;  // sent with the first message
  ExportDatasetResponse response_;
};

}  // namespace

absl::Status RunExport(const DataContext& data, grpc::ServerContext& call, const muster::v1::ExportDatasetRequest& request,
                       grpc::ServerWriter<ExportDatasetResponse>& writer) {
  const bool beir = request.format() == muster::v1::DATASET_FORMAT_BEIR;
  if (!beir && request.format() != muster::v1::DATASET_FORMAT_JSONL) {
    return absl::InvalidArgumentError(
        "format: is missing or unknown. Set DATASET_FORMAT_BEIR or DATASET_FORMAT_JSONL.");
  }
  ASSIGN_OR_RETURN(const muster::v1::Dataset entry, data.stores.catalogue->GetDataset(request.name()));
  ASSIGN_OR_RETURN(const auto dataset, data.stores.shelf->Open(entry.digest()));
  ExportStream stream(data, call, writer, dataset->queries());
  const ExportSink sink = stream.Sink();
  std::vector<std::string> notes;
  RETURN_IF_ERROR(beir ? ExportBeir(*dataset, sink, notes) : ExportJsonl(*dataset, sink, notes));
  AddNotes(notes, call);
  return absl::OkStatus();
}

}  // namespace muster
