#include "client/backup/copy_client.h"

#include <utility>

#include "client/call.h"
#include "common/rpc/errors.h"
#include "common/status.h"

namespace muster {

using muster::internal::v1::CopyRequest;
using muster::internal::v1::CopyResponse;

CopyClient::CopyClient(std::shared_ptr<grpc::Channel> channel, std::string name)
    : name_(std::move(name)),
      channel_(std::move(channel)),
      stub_(muster::internal::v1::BackupService::NewStub(channel_)) {}

absl::StatusOr<std::unique_ptr<CopyClient>> CopyClient::Open(std::shared_ptr<grpc::Channel> channel, std::string name,
                                                             absl::Time deadline) {
  std::unique_ptr<CopyClient> client(new CopyClient(std::move(channel), std::move(name)));
  client->context_.set_deadline(absl::ToChronoTime(deadline));
  client->stream_ = client->stub_->Copy(&client->context_);
  CopyRequest request;
  request.mutable_hold();
  RETURN_IF_ERROR(client->Ask(request));
  ASSIGN_OR_RETURN(const CopyResponse response, client->Next());
  client->held_ = response.held();
  return client;
}

CopyClient::~CopyClient() {
  if (finished_) return;
  context_.TryCancel();
  stream_->Finish();
}

absl::Status CopyClient::Ended() {
  finished_ = true;
  const absl::Status status = FromGrpc(stream_->Finish());
  return WithContext(status.ok() ? absl::UnavailableError("ended the backup early") : ExplainUnreachable(status), name_);
}

absl::Status CopyClient::Ask(const CopyRequest& request) {
  return stream_->Write(request) ? absl::OkStatus() : Ended();
}

absl::StatusOr<CopyResponse> CopyClient::Next() {
  CopyResponse response;
  if (!stream_->Read(&response)) return Ended();
  return response;
}

absl::StatusOr<std::vector<muster::internal::v1::CopyFile>> CopyClient::List() {
  CopyRequest request;
  request.mutable_list();
  RETURN_IF_ERROR(Ask(request));
  std::vector<muster::internal::v1::CopyFile> files;
  while (true) {
    ASSIGN_OR_RETURN(const CopyResponse response, Next());
    if (response.has_listed()) return files;
    files.insert(files.end(), response.files().files().begin(), response.files().files().end());
  }
}

absl::Status CopyClient::Read(const std::string& path, const std::function<absl::Status(std::string_view)>& take) {
  CopyRequest request;
  request.mutable_read()->set_path(path);
  RETURN_IF_ERROR(Ask(request));
  while (true) {
    ASSIGN_OR_RETURN(const CopyResponse response, Next());
    if (response.has_end()) return absl::OkStatus();
    RETURN_IF_ERROR(take(response.chunk()));
  }
}

absl::Status CopyClient::Close() {
  stream_->WritesDone();
  finished_ = true;
  return WithContext(ExplainUnreachable(FromGrpc(stream_->Finish())), name_);
}

}  // namespace muster
