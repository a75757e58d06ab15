// A WorkerService that sends what a test asks for, and keeps what it receives.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/security.h"
#include "muster/internal/v1/worker.grpc.pb.h"

namespace muster {

class ScriptedCoordinator final : public muster::internal::v1::WorkerService::Service {
 public:
  explicit ScriptedCoordinator(SecurityOptions security) : security_(std::move(security)) {}
  ~ScriptedCoordinator() override { Stop(); }

  absl::Status Start(int port = 0);  // a session is welcomed at once
  void Stop();                       // ends sessions and closes the port
  int port() const { return port_; }
  std::string address() const;

  void SetAcknowledging(bool on);
  void Desire(const std::vector<muster::internal::v1::Assignment>& assignments);

  // Waits (at most 30 s) for a message that `matches`, in order of arrival; skips those before it. Otherwise fails the
  // test with `what`.
  using Matches = std::function<bool(const muster::internal::v1::AgentMessage&)>;
  muster::internal::v1::AgentMessage WaitFor(const std::string& what, const Matches& matches);
  muster::internal::v1::Report WaitForReport(muster::internal::v1::Report::EventCase event);
  std::vector<muster::internal::v1::AgentMessage> Heard();

 private:
  using Stream = grpc::ServerReaderWriter<muster::internal::v1::CoordinatorMessage, muster::internal::v1::AgentMessage>;
  grpc::Status Session(grpc::ServerContext* context, Stream* stream) override;
  void SendDesired(Stream* stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SecurityOptions security_;
  std::unique_ptr<RpcServer> server_;
  int port_ = 0;
  absl::Mutex mutex_;
  bool acknowledging_ ABSL_GUARDED_BY(mutex_) = true;
  Stream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  muster::internal::v1::DesiredState desired_ ABSL_GUARDED_BY(mutex_);
  std::vector<muster::internal::v1::AgentMessage> heard_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace muster
