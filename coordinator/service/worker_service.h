// WorkerService: the agents' sessions, and the ranks' rendezvous. Include in sources only.
#pragma once

#include <string>

#include "common/rpc/access/admission.h"
#include "common/process/disk_worker.h"
#include "coordinator/service/agent_session.h"
#include "coordinator/service/backend.h"
#include "coordinator/service/log_store.h"
#include "coordinator/service/rendezvous.h"
#include "coordinator/service/sessions.h"
#include "muster/internal/v1/worker.grpc.pb.h"

namespace muster {

class WorkerServiceImpl final : public muster::internal::v1::WorkerService::WithCallbackMethod_Session<
                                    muster::internal::v1::WorkerService::Service> {
 public:
  struct Options {
    Admission* admission = nullptr;
    Backend* backend = nullptr;
    Sessions* sessions = nullptr;
    RendezvousStore* rendezvous = nullptr;
    LogStore* logs = nullptr;
  };
  explicit WorkerServiceImpl(Options options) : options_(options) {}

  AgentSession* Session(grpc::CallbackServerContext* context) override;
  grpc::Status Rendezvous(grpc::ServerContext* context, const muster::internal::v1::RendezvousRequest* request,
                          muster::internal::v1::RendezvousResponse* response) override;

 private:
  void Forward(const std::string& worker, uint64_t session, muster::internal::v1::AgentMessage& message);

  void StoreLog(const std::string& worker, const muster::internal::v1::LogText& log);

  const Options options_;
  DiskWorker log_writer_;
};

}  // namespace muster
