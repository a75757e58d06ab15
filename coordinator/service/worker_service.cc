#include "coordinator/service/worker_service.h"

#include <spdlog/spdlog.h>

#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status.h"
#include "common/version.h"

namespace muster {
namespace {

using muster::internal::v1::AgentMessage;
using muster::internal::v1::CoordinatorMessage;
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

void WorkerServiceImpl::Forward(const std::string& worker, uint64_t session, AgentMessage& message) {
  switch (message.message_case()) {
    case AgentMessage::kHeartbeat:
      options_.backend->Post(AgentHeartbeat{worker, session, std::move(*message.mutable_heartbeat())});
      return;
    case AgentMessage::kReport:
      options_.backend->Post(AgentReport{worker, session, std::move(*message.mutable_report())});
      return;
    case AgentMessage::kProgress:
      options_.backend->Post(AgentProgress{worker, session, std::move(*message.mutable_progress())});
      return;
    case AgentMessage::kLog: {
      const size_t bytes = message.log().text().size();
      const bool taken = log_writer_.TryPost(bytes, [this, worker, log = std::move(*message.mutable_log())] {
        StoreLog(worker, log);
        options_.logs->Settle();
      });
      if (taken) {
        options_.logs->Announce();  // before the next message of this session, which may end the job
      } else {
        spdlog::warn("{} bytes of log text are lost: the disk is too slow", bytes);
      }
      return;
    }
    case AgentMessage::kHello:  // once is enough
    case AgentMessage::MESSAGE_NOT_SET: return;
  }
}

void WorkerServiceImpl::StoreLog(const std::string& worker, const muster::internal::v1::LogText& log) {
  bool runs = false;  // no path of a client is ever opened: the job must be one of ours
  absl::Status status = options_.backend->Query([&](const State& state, const Soft&, absl::Time) {
    const JobRecord* job = FindJob(state, log.job_id());
    if (job == nullptr) return;
    for (const journal::v1::StoredAttempt& info : job->job().attempts()) {
      for (const muster::v1::RankPlacement& rank : info.ranks()) {
        runs = runs || (info.number() == log.attempt() && rank.rank() == log.rank() && rank.worker() == worker);
      }
    }
  });
  if (!status.ok() || !runs) return;
  status = options_.logs->Append(log.job_id(), log.attempt(), log.rank(), log.text());
  const ScopedLogFields about({.job = log.job_id(), .attempt = log.attempt(), .rank = log.rank()});
  if (!status.ok()) spdlog::warn("log text is lost: {}", status.ToString());
}

grpc::Status WorkerServiceImpl::Session(grpc::ServerContext* context,
                                        grpc::ServerReaderWriter<CoordinatorMessage, AgentMessage>* stream) {
  return options_.admission->Serve(*context, "WorkerService/Session", nullptr,
                                   [&](AdmittedCall& call) { return Session(*context, call, *stream); });
}

absl::Status WorkerServiceImpl::Session(grpc::ServerContext& context, AdmittedCall& call,
                                        grpc::ServerReaderWriter<CoordinatorMessage, AgentMessage>& stream) {
  AgentMessage message;
  if (!stream.Read(&message)) return absl::OkStatus();
  if (!message.has_hello()) return absl::InvalidArgumentError("the first message must be Hello");
  const Hello hello = message.hello();
  const std::string worker = hello.worker();
  call.subject = worker;
  RETURN_IF_ERROR(CheckHello(hello, call.principal));

  const auto [session, outbox] = options_.sessions->Open();
  const ScopedLogFields about({.worker = worker});
  spdlog::info("connected: {} slots of {} on {}", hello.slots(), hello.device(), hello.host());
  options_.backend->Post(AgentHello{session, hello});
  std::thread writer([&, outbox = outbox] {
    CoordinatorMessage next;
    while (outbox->Next(next)) {
      if (!stream.Write(next)) break;
    }
    context.TryCancel();  // ends the reader below, too
  });
  // An agent's heartbeats come every few seconds. One whose token was revoked learns why when it connects again.
  while (stream.Read(&message) && options_.admission->StillAdmitted(context, call).ok()) {
    Forward(worker, session, message);
  }
  options_.sessions->Close(session);
  writer.join();
  options_.backend->Post(AgentGone{worker, session});
  spdlog::info("disconnected");
  return absl::UnavailableError("the session ended. Connect again.");
}

grpc::Status WorkerServiceImpl::Rendezvous(grpc::ServerContext* context,
                                           const muster::internal::v1::RendezvousRequest* request,
                                           muster::internal::v1::RendezvousResponse* response) {
  return options_.admission->Serve(*context, "WorkerService/Rendezvous", request, [&](AdmittedCall& call) -> absl::Status {
    call.subject = request->job_id();
    ASSIGN_OR_RETURN(*response,
                     options_.rendezvous->Do(*request, call.principal, [context] { return context->IsCancelled(); }));
    return absl::OkStatus();
  });
}

}  // namespace muster
