// One agent's session on the coordinator's side. It has no thread: gRPC's threads call it when a message has been read or
// written, and the event loop calls it when there is something to send. With two threads per session, waking them was most of a
// heartbeat's cost.
//
//   agent ── Hello, heartbeats, reports … ──► OnReadDone ──► Backend::Post        (never waits)
//   agent ◄── Welcome, desired state … ────── StartWrite ◄── Outbox ◄── event loop
//
// It ends when either side closes, when a newer session of the same worker begins, or when the coordinator stops: the
// outbox is closed, the call is canceled where it still reads or writes, and Finish comes last. Include in sources only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/access/admission.h"
#include "coordinator/service/backend.h"
#include "coordinator/service/sessions.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

class AgentSession final : public grpc::ServerBidiReactor<muster::internal::v1::AgentMessage,
                                                          muster::internal::v1::CoordinatorMessage>,
                           public std::enable_shared_from_this<AgentSession> {
 public:
  struct Options {
    Admission* admission = nullptr;
    Backend* backend = nullptr;
    Sessions* sessions = nullptr;
    // Takes every message after Hello. Does not wait.
    std::function<void(const std::string& worker, uint64_t session, muster::internal::v1::AgentMessage& message)> forward;
  };
  // Lives until the call is done, then deletes itself.
  static AgentSession* Begin(grpc::CallbackServerContext& context, Options options);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  AgentSession(grpc::CallbackServerContext& context, Options options) : context_(context), options_(std::move(options)) {}
  absl::Status Take();
  absl::Status Greet();
  void EndReading(absl::Status status);
  void SendNext();
  void FinishIfIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::CallbackServerContext& context_;
  const Options options_;
  std::shared_ptr<AgentSession> self_;  // until OnDone
  AdmittedCall call_;
  // Only for the reader's calls, which come one at a time.
  muster::internal::v1::AgentMessage incoming_;
  std::string worker_;

  uint64_t session_ = 0;
  std::shared_ptr<Sessions::Outbox> outbox_;  // set by the first message
  absl::Mutex mutex_;
  muster::internal::v1::CoordinatorMessage outgoing_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // the call's, when nothing more is read
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace muster
