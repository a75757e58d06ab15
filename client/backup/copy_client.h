// The client's half of proto/muster/internal/v1/backup.proto: copies one server's files while the call is open.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "muster/internal/v1/backup.grpc.pb.h"

namespace muster {

// Not thread-safe.
class CopyClient {
 public:
  // Opens the call, during which the server removes nothing; `within` limits its total time. `name` appears in errors:
  // "coordinator".
  static absl::StatusOr<std::unique_ptr<CopyClient>> Open(std::shared_ptr<grpc::Channel> channel, std::string name,
                                                          absl::Time deadline);
  ~CopyClient();

  const muster::internal::v1::CopyHeld& held() const { return held_; }
  absl::StatusOr<std::vector<muster::internal::v1::CopyFile>> List();
  absl::Status Read(const std::string& path, const std::function<absl::Status(std::string_view)>& take);
  // Ends the call. OK only if the server has not ended it earlier, which means that nothing was removed until now.
  absl::Status Close();

 private:
  CopyClient(std::shared_ptr<grpc::Channel> channel, std::string name);
  absl::Status Ask(const muster::internal::v1::CopyRequest& request);
  absl::StatusOr<muster::internal::v1::CopyResponse> Next();
  absl::Status Ended();

  const std::string name_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<muster::internal::v1::BackupService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<muster::internal::v1::CopyRequest, muster::internal::v1::CopyResponse>>
      stream_;
  muster::internal::v1::CopyHeld held_;
  bool finished_ = false;
};

}  // namespace muster
