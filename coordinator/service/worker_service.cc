#include "coordinator/service/worker_service.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "common/log.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::AgentMessage;

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
  bool runs = false;  // the id becomes part of a path, so it must be a known job
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

AgentSession* WorkerServiceImpl::Session(grpc::CallbackServerContext* context) {
  return AgentSession::Begin(
      *context, {options_.admission, options_.backend, options_.sessions,
                 [this](const std::string& worker, uint64_t session, AgentMessage& message) {
                   Forward(worker, session, message);
                 }});
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
