#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/service/services.h"
#include "muster/v1/blob.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

constexpr size_t kBlobChunk = 1 << 20;

class BlobServiceImpl final : public v1::BlobService::Service {
 public:
  explicit BlobServiceImpl(DataContext data) : data_(data) {}

  grpc::Status PutBlob(grpc::ServerContext* call, grpc::ServerReader<v1::PutBlobRequest>* reader,
                       v1::PutBlobResponse* response) override {
    return data_.admission.Serve(*call, "BlobService/PutBlob", nullptr, [&](AdmittedCall& admitted) -> absl::Status {
      RETURN_IF_ERROR(data_.gate.AdmitWrite(*call, admitted.principal));
      v1::PutBlobRequest request;
      if (!reader->Read(&request) || !request.has_header()) {
        return absl::InvalidArgumentError("put: the first message must be the header");
      }
      admitted.subject = request.header().digest();
      response->set_digest(request.header().digest());
      return Take(request.header(), admitted.principal, *call, *reader);
    });
  }

  grpc::Status GetBlob(grpc::ServerContext* call, const v1::GetBlobRequest* request,
                       grpc::ServerWriter<v1::GetBlobResponse>* writer) override {
    return data_.admission.Serve(*call, "BlobService/GetBlob", request, [&](AdmittedCall& admitted) -> absl::Status {
      admitted.subject = request->digest();
      RETURN_IF_ERROR(data_.gate.AdmitRead(*call, admitted.principal, request->digest(), *data_.stores.blobs));
      return Send(*request, *call, *writer);
    });
  }

  grpc::Status StatBlobs(grpc::ServerContext* call, const v1::StatBlobsRequest* request,
                         v1::StatBlobsResponse* response) override {
    return data_.admission.Serve(*call, "BlobService/StatBlobs", request, [&](AdmittedCall& admitted) -> absl::Status {
      RETURN_IF_ERROR(data_.gate.AdmitWrite(*call, admitted.principal));
      RETURN_IF_ERROR(CheckDigestCount(request->digests_size()));
      for (const std::string& digest : request->digests()) {
        ASSIGN_OR_RETURN(*response->add_blobs(), data_.stores.blobs->Stat(digest));
      }
      return absl::OkStatus();
    });
  }

 private:
  absl::Status Take(const v1::PutBlobHeader& header, const Principal& caller, const grpc::ServerContext& call,
                    grpc::ServerReader<v1::PutBlobRequest>& reader) const {
    auto upload = data_.stores.blobs->Upload(header);
    if (absl::IsAlreadyExists(upload.status())) return absl::OkStatus();
    if (!upload.ok()) return upload.status();
    const uint64_t bytes = header.size() - std::min(header.size(), header.offset());
    // The budget is for what users bring: running jobs continue as long as the disk has space for their checkpoints.
    const bool is_rank = caller.role == Role::kWorker;
    RETURN_IF_ERROR(is_rank ? data_.stores.state->CheckRoom(bytes) : data_.budget.CheckRoom(bytes));
    v1::PutBlobRequest request;
    while (reader.Read(&request)) {
      RETURN_IF_ERROR(CheckAlive(data_, call));
      if (request.chunk().size() > kBlobChunk) return absl::InvalidArgumentError("put: a chunk has at most 1 MiB");
      RETURN_IF_ERROR((*upload)->Append(request.chunk()));
      data_.metrics.blob_bytes_in.Increment(static_cast<double>(request.chunk().size()));
    }
    RETURN_IF_ERROR(CheckAlive(data_, call));
    return (*upload)->Commit();
  }

  absl::Status Send(const v1::GetBlobRequest& request, const grpc::ServerContext& call,
                    grpc::ServerWriter<v1::GetBlobResponse>& writer) const {
    ASSIGN_OR_RETURN(const auto path, data_.stores.blobs->PathOf(request.digest()));
    ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
    if (request.offset() > file.size()) {
      return absl::OutOfRangeError(absl::StrCat("offset: ", request.offset(), ", the blob has ", file.size(), " bytes"));
    }
    v1::GetBlobResponse response;
    response.set_size(file.size());
    uint64_t at = request.offset();
    Sha256 sha;
    do {  // an empty blob is one message too
      RETURN_IF_ERROR(CheckAlive(data_, call));
      const std::string_view chunk = file.bytes().substr(at, kBlobChunk);
      response.set_chunk(chunk.data(), chunk.size());
      sha.Update(chunk);
      if (!writer.Write(response)) return absl::CancelledError("the client has gone");
      data_.metrics.blob_bytes_out.Increment(static_cast<double>(chunk.size()));
      response.clear_size();
      at += chunk.size();
    } while (at < file.size());
    if (request.offset() > 0 || sha.FinishHex() == request.digest()) return absl::OkStatus();
    return Damaged(request.digest());
  }

  // The disk returned bytes that do not match the digest. After the damaged file is set aside, the blob can be stored again: a
  // job that repeats the step of a damaged checkpoint produces the same bytes.
  absl::Status Damaged(const std::string& digest) const {
    const absl::StatusOr<bool> aside = data_.stores.blobs->SetAsideIfDamaged(digest);
    const std::string what = absl::StrCat("blob ", digest.substr(0, 12), ": its bytes on the data server's disk are damaged");
    spdlog::error("{}{}", what, !aside.ok() ? absl::StrCat("; ", aside.status().message())
                                : *aside    ? "; they are set aside in blobs/partial"
                                            : "; a second look found them whole");
    return absl::DataLossError(what);
  }

  const DataContext data_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeBlobService(DataContext context) {
  return std::make_unique<BlobServiceImpl>(context);
}

}  // namespace muster
