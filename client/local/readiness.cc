#include "client/local/readiness.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "muster/v1/cluster.grpc.pb.h"

namespace muster {
namespace {

constexpr std::chrono::seconds kPatience(2);

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

}  // namespace

bool Serves(const std::string& address, const SecurityOptions& security) {
  const auto channel = MakeChannel(address, security);
  if (!channel.ok()) return false;
  // Debian's gRPC ships no stub of the health service. HealthCheckRequest{} has no bytes; HealthCheckResponse{SERVING}
  // is field 1 with the value 1.
  grpc::GenericStub stub(*channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const grpc::Slice nothing("");
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  const bool answered = queue.Next(&tag, &ok) && ok && status.ok();
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return answered && BytesOf(response) == "\x08\x01";
}

bool HasReadyWorker(const std::string& coordinator, const SecurityOptions& security) {
  const auto channel = MakeChannel(coordinator, security);
  if (!channel.ok()) return false;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  muster::v1::ListWorkersResponse response;
  if (!muster::v1::ClusterService::NewStub(*channel)->ListWorkers(&context, {}, &response).ok()) return false;
  return std::any_of(response.workers().begin(), response.workers().end(), [](const muster::v1::Worker& worker) {
    return worker.state() == muster::v1::WORKER_STATE_READY;
  });
}

}  // namespace muster
