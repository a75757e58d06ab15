#include "common/rpc/health.h"

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/address.h"
#include "common/rpc/errors.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr char kReady[] = "";
constexpr char kLive[] = "live";
constexpr int kMaxProbeBytes = 1024;
constexpr int kMaxProbes = 100;  // at the same time, per connection

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HealthServer>> HealthServer::Start(Options options) {
  std::unique_ptr<HealthServer> health(new HealthServer(std::move(options)));
  const std::string& address = health->options_.address;
  if (address.empty()) return health;
  RETURN_IF_ERROR(WithContext(ParseListenAddress(address).status(), "--health"));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &health->port_);
  builder.RegisterCallbackGenericService(&health->others_);
  builder.SetMaxReceiveMessageSize(kMaxProbeBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxProbes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  health->server_ = builder.BuildAndStart();
  if (health->server_ == nullptr || health->port_ == 0) {
    return absl::UnavailableError(absl::StrCat(
        address,
        ": health cannot listen. Is the port taken by another process? Choose another with --health, or 0 for a free one."));
  }
  health->server_->GetHealthCheckService()->SetServingStatus(kReady, false);
  health->server_->GetHealthCheckService()->SetServingStatus(kLive, true);
  health->look_ = std::thread([raw = health.get()] { raw->Look(); });
  return health;
}

HealthServer::~HealthServer() {
  if (server_ == nullptr) return;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (look_.joinable()) look_.join();
  server_->Shutdown(std::chrono::system_clock::now());
}

void HealthServer::SetReady(bool ready, const std::string& reason) {
  absl::MutexLock lock(&mutex_);
  if (ready == ready_) return;
  ready_ = ready;
  spdlog::info("{}: {}", ready ? "ready" : "not ready", reason);
  if (server_ != nullptr) server_->GetHealthCheckService()->SetServingStatus(kReady, ready);
}

void HealthServer::Beat() {
  absl::MutexLock lock(&mutex_);
  beat_ = options_.clock->Monotonic();
}

void HealthServer::Look() {
  const absl::Duration every = std::min(options_.live_within / 4, absl::Seconds(1));
  bool live = true;
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(&stopping_), every)) {
    const absl::Duration age =
        beat_.has_value() ? options_.clock->Monotonic() - *beat_ : absl::ZeroDuration();
    const bool alive = age <= options_.live_within;
    if (alive == live) continue;
    live = alive;
    if (live) {
      spdlog::info("alive again");
    } else {
      spdlog::error("frozen: no sign of life for {}", absl::FormatDuration(absl::Floor(age, absl::Seconds(1))));
    }
    server_->GetHealthCheckService()->SetServingStatus(kLive, live);
  }
}

// Debian's gRPC ships no stub of the health service. HealthCheckRequest{service} is field 1, a string;
// HealthCheckResponse{SERVING} is field 1 with the value 1.
absl::StatusOr<bool> CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service,
                                 absl::Duration within) {
  if (service.size() > 127) return absl::InvalidArgumentError("a health service's name has at most 127 bytes");
  std::string message;
  if (!service.empty()) message = absl::StrCat("\x0a", std::string(1, static_cast<char>(service.size())), service);
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(within));
  const grpc::Slice slice(message);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  const bool answered = queue.Next(&tag, &ok) && ok;
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  if (!answered) return absl::UnavailableError("the health service gave no answer");
  RETURN_IF_ERROR(FromGrpc(status));
  return BytesOf(response) == "\x08\x01";
}

}  // namespace muster
