#include "coordinator/service/agent_session.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status.h"
#include "common/version.h"

namespace muster {
namespace {

using muster::internal::v1::Hello;

constexpr uint32_t kMaxSlots = 1024;  // of one worker

absl::Status CheckHello(const Hello& hello, const Principal& principal) {
  if (!IsValidName(hello.worker())) {
    return absl::InvalidArgumentError("hello.worker: must be 1 to 63 of [a-z0-9._-], beginning with a letter or digit");
  }
  if (!ActsFor(principal, hello.worker())) {
    return absl::PermissionDeniedError(absl::StrCat("hello.worker: \"", hello.worker(), "\", but the certificate is of \"",
                                                    principal.name, "\". Use that worker's certificate."));
  }
  if (hello.device() != "cpu" && hello.device() != "gpu") {
    return absl::InvalidArgumentError("hello.device: must be cpu or gpu");
  }
  if (hello.slots() == 0 || hello.slots() > kMaxSlots) {
    return absl::InvalidArgumentError(absl::StrCat("hello.slots: must be 1 to ", kMaxSlots));
  }
  const auto version = ParseVersion(hello.version());
  if (!version.has_value()) return absl::OkStatus();
  return CheckVersions(absl::StrCat("worker ", hello.worker()), *version, "this coordinator", OwnVersion());
}

}  // namespace

AgentSession* AgentSession::Begin(grpc::CallbackServerContext& context, Options options) {
  const std::shared_ptr<AgentSession> session(new AgentSession(context, std::move(options)));
  session->self_ = session;
  absl::Status status = session->options_.admission->Begin(context, "WorkerService/Session", nullptr, session->call_);
  if (status.ok()) {
    session->StartRead(&session->incoming_);
  } else {
    session->EndReading(std::move(status));
  }
  return session.get();
}

void AgentSession::OnReadDone(bool ok) {
  const ScopedLogFields about({.worker = worker_, .request_id = call_.request_id});
  absl::Status status;
  if (ok) {
    status = Take();
  } else if (outbox_ != nullptr) {
    status = absl::UnavailableError("the session ended. Connect again.");
  }
  if (!ok || !status.ok()) return EndReading(std::move(status));
  absl::MutexLock lock(&mutex_);
  StartRead(&incoming_);
}

absl::Status AgentSession::Take() {
  if (outbox_ == nullptr) return Greet();
  // Heartbeats arrive every few seconds, so a revoked token is noticed quickly. The agent gets the reason when it connects
  // again.
  if (!options_.admission->StillAdmitted(context_, call_).ok()) {
    return absl::UnavailableError("the session ended. Connect again.");
  }
  options_.forward(worker_, session_, incoming_);
  return absl::OkStatus();
}

absl::Status AgentSession::Greet() {
  if (!incoming_.has_hello()) return absl::InvalidArgumentError("the first message must be Hello");
  const Hello& hello = incoming_.hello();
  call_.subject = hello.worker();
  RETURN_IF_ERROR(CheckHello(hello, call_.principal));
  worker_ = hello.worker();
  {
    const auto [session, outbox] = options_.sessions->Open();
    session_ = session;
    outbox_ = outbox;
  }
  const ScopedLogFields about({.worker = worker_});
  spdlog::info("connected: {} slots of {} on {}", hello.slots(), hello.device(), hello.host());
  outbox_->OnChange([weak = weak_from_this()] {
    if (const std::shared_ptr<AgentSession> self = weak.lock()) self->SendNext();
  });
  options_.backend->Post(AgentHello{session_, hello});
  return absl::OkStatus();
}

// Called once, by the reader.
void AgentSession::EndReading(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    status_ = std::move(status);
  }
  if (outbox_ != nullptr) options_.sessions->Close(session_);
  absl::MutexLock lock(&mutex_);
  if (writing_) context_.TryCancel();
  FinishIfIdle();
}

void AgentSession::SendNext() {
  absl::MutexLock lock(&mutex_);
  if (writing_ || finished_) return;
  switch (outbox_->TryNext(outgoing_)) {
    case Sessions::Outbox::Found::kMessage:
      writing_ = true;
      StartWrite(&outgoing_);
      return;
    case Sessions::Outbox::Found::kNothing: return;
    case Sessions::Outbox::Found::kClosed:
      if (reading_) context_.TryCancel();  // ends the reader, which finishes the call
      return;
  }
}

void AgentSession::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && reading_) context_.TryCancel();
    FinishIfIdle();
  }
  if (ok) SendNext();
}

void AgentSession::FinishIfIdle() {
  if (reading_ || writing_ || finished_) return;
  finished_ = true;
  Finish(options_.admission->End(context_, call_, std::move(status_)));
}

void AgentSession::OnDone() {
  if (outbox_ != nullptr) {
    options_.backend->Post(AgentGone{worker_, session_});
    const ScopedLogFields about({.worker = worker_, .request_id = call_.request_id});
    spdlog::info("disconnected");
  }
  self_.reset();  // deletes this, unless the event loop is just sending
}

}  // namespace muster
