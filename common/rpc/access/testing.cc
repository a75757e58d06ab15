#include "common/rpc/access/testing.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/rpc/errors.h"
#include "common/rpc/metadata.h"
#include "muster/internal/v1/backup.pb.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "muster/internal/v1/worker.pb.h"
#include "muster/v1/blob.pb.h"
#include "muster/v1/cluster.pb.h"
#include "muster/v1/data.pb.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/model.pb.h"
#include "muster/v1/operation.pb.h"

namespace muster {
namespace {

absl::Status CallPath(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                      const std::string& message, const std::string& request_id, absl::Duration within) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(RealClock().Now() + within));
  if (!request_id.empty()) context.AddMetadata(kRequestIdMetadata, request_id);
  grpc::CompletionQueue queue;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(nullptr);
  if (next()) {
    const grpc::Slice slice(message);
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    next();
    grpc::ByteBuffer response;
    do {
      call->Read(&response, nullptr);
    } while (next());
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  queue.Shutdown();
  while (next()) {
  }
  return FromGrpc(status);
}

}  // namespace

std::vector<std::string> EveryRpc() {
  std::vector<std::string> methods;
  for (const google::protobuf::FileDescriptor* file :
       {muster::v1::SubmitJobRequest::descriptor()->file(), muster::v1::ListWorkersRequest::descriptor()->file(),
        muster::internal::v1::AgentMessage::descriptor()->file(),
        muster::v1::ImportDatasetRequest::descriptor()->file(), muster::v1::PushModelRequest::descriptor()->file(),
        muster::v1::PutBlobRequest::descriptor()->file(), muster::internal::v1::CopyRequest::descriptor()->file(),
        muster::internal::v1::ResolveRequest::descriptor()->file(), muster::v1::ListOperationsRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      const google::protobuf::ServiceDescriptor* service = file->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        methods.push_back(absl::StrCat(service->name(), "/", service->method(m)->name()));
      }
    }
  }
  return methods;
}

absl::Status CallByName(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                        const std::string& message, const std::string& request_id, absl::Duration within) {
  const std::string_view service = std::string_view(method).substr(0, method.find('/'));
  const bool internal = service == "WorkerService" || service == "BackupService" || service == "DataPlaneService";
  return CallPath(channel, absl::StrCat(internal ? "/muster.internal.v1." : "/muster.v1.", method), message, request_id,
                  within);
}

absl::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel) {
  return CallPath(channel, "/grpc.health.v1.Health/Check", "", "", absl::Seconds(20));
}

}  // namespace muster
