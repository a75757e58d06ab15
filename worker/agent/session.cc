#include "worker/agent/session.h"

#include <grpcpp/grpcpp.h>

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/errors.h"
#include "muster/internal/v1/worker.grpc.pb.h"

namespace muster {
namespace {

using muster::internal::v1::AgentMessage;
using muster::internal::v1::CoordinatorMessage;

constexpr size_t kMaxWaiting = 512;  // messages; above it, messages that may be lost are dropped

class StreamSession final : public Session, public grpc::ClientBidiReactor<AgentMessage, CoordinatorMessage> {
 public:
  StreamSession(const std::shared_ptr<grpc::Channel>& channel, Callbacks callbacks)
      : stub_(muster::internal::v1::WorkerService::NewStub(channel)), callbacks_(std::move(callbacks)) {}

  void Begin(std::shared_ptr<StreamSession> self) {
    self_ = std::move(self);
    stub_->async()->Session(&context_, this);
    AddHold();  // Send starts writes from outside of the reactor
    StartRead(&incoming_);
    StartCall();
  }

  void Send(AgentMessage message) override {
    absl::MutexLock lock(&mutex_);
    const bool may_be_lost = message.has_log() || message.has_progress();
    if (closing_ || (may_be_lost && waiting_.size() > kMaxWaiting)) return;
    waiting_.push_back(std::move(message));
    if (waiting_.size() == 1) StartWrite(&waiting_.front());
  }

  void Close() override {
    absl::MutexLock lock(&mutex_);
    if (closing_) return;
    closing_ = true;
    if (waiting_.empty()) StartWritesDone();
    RemoveHold();
  }

  void Cancel() override {
    context_.TryCancel();
    Close();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Close();  // the coordinator ended the stream, or it broke
      return;
    }
    callbacks_.on_message(std::move(incoming_));
    incoming_.Clear();
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    waiting_.pop_front();
    if (!ok) waiting_.clear();
    if (!waiting_.empty()) {
      StartWrite(&waiting_.front());
    } else if (closing_ && ok) {
      StartWritesDone();
    }
  }

  void OnDone(const grpc::Status& status) override {
    callbacks_.on_end(status.ok() ? "the coordinator ended the session"
                                  : std::string(FromGrpc(status).ToString(absl::StatusToStringMode::kWithNoExtraData)));
    self_.reset();  // deletes this, unless the agent still holds it
  }

 private:
  const std::unique_ptr<muster::internal::v1::WorkerService::Stub> stub_;
  const Callbacks callbacks_;
  grpc::ClientContext context_;
  CoordinatorMessage incoming_;
  std::shared_ptr<StreamSession> self_;
  absl::Mutex mutex_;
  std::deque<AgentMessage> waiting_ ABSL_GUARDED_BY(mutex_);  // the first is being written
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

std::shared_ptr<Session> Session::Open(const std::shared_ptr<grpc::Channel>& channel,
                                       const muster::internal::v1::Hello& hello, Callbacks callbacks) {
  auto session = std::make_shared<StreamSession>(channel, std::move(callbacks));
  session->Begin(session);
  AgentMessage first;
  *first.mutable_hello() = hello;
  session->Send(std::move(first));
  return session;
}

}  // namespace muster
