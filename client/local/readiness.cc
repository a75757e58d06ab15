#include "client/local/readiness.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>

#include "common/rpc/health.h"
#include "muster/v1/cluster.grpc.pb.h"

namespace muster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);

}  // namespace

bool Serves(const std::string& address, const SecurityOptions& security) {
  const auto channel = MakeChannel(address, security);
  if (!channel.ok()) return false;
  return CheckHealth(*channel, "", kPatience).value_or(false);
}

bool HasReadyWorker(const std::string& coordinator, const SecurityOptions& security) {
  const auto channel = MakeChannel(coordinator, security);
  if (!channel.ok()) return false;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kPatience));
  muster::v1::ListWorkersResponse response;
  if (!muster::v1::ClusterService::NewStub(*channel)->ListWorkers(&context, {}, &response).ok()) return false;
  return std::any_of(response.workers().begin(), response.workers().end(), [](const muster::v1::Worker& worker) {
    return worker.state() == muster::v1::WORKER_STATE_READY;
  });
}

}  // namespace muster
