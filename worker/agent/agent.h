// The agent's shell: carries out what AgentCore decides, and reports events to it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/process/poll_loop.h"
#include "common/rpc/health.h"
#include "common/rpc/security.h"
#include "worker/agent/agent_metrics.h"
#include "worker/agent/core/agent_core.h"
#include "common/process/disk_worker.h"
#include "worker/agent/model_cache.h"
#include "worker/agent/rank_process.h"
#include "worker/agent/session.h"

namespace muster {

// All of it belongs to one thread, which must live as long as the process, because ranks die with it. gRPC's threads
// and the disk's thread only post calls.
class Agent {
 public:
  struct Options {
    AgentCoreOptions core;
    SecurityOptions security;
    std::filesystem::path rank_binary;
    std::vector<std::string> environment;  // of the ranks, "NAME=value" (rank_environment.h)
    std::string health;                    // HOST:PORT of the probes (common/rpc/health.h); empty: none
    size_t kept_logs = 200;                // files of ranks in STATE/logs
    uint64_t cache_bytes = 20000000000;    // of models in STATE/cache, beyond those that ranks use
  };

  // Removes what an earlier agent left in STATE/scratch; the caller holds the lock on STATE.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(Options options, const Clock& clock,
                                                       MetricRegistry& metrics);

  int health_port() const { return health_->port(); }

  // Runs until SIGTERM or SIGINT has arrived and all ranks have ended.
  absl::Status Run();

 private:
  Agent(Options options, const Clock& clock, MetricRegistry& metrics)
      : options_(std::move(options)), clock_(clock), core_(options_.core), metrics_(metrics) {}

  void Handle(const Event& event);
  void NoteAwake();
  void TellHealth();
  void SampleUsage();
  void Do(const OpenSession& action);
  void Do(const CloseSession& action);
  void Do(const Send& action);
  void Do(const StartRank& action);
  void Do(const SignalRank& action);
  void Do(const RemoveScratch& action);
  void Do(const EndAgent&) { ended_ = true; }
  // The rank's files are ready, or the error.
  void StartPrepared(const RankKey& key, const muster::rank::v1::RankConfig& config, const std::vector<uint32_t>& cpus,
                     const absl::Status& prepared);
  void Prune();

  Options options_;
  const Clock& clock_;
  std::unique_ptr<PollLoop> loop_;
  std::unique_ptr<HealthServer> health_;
  std::shared_ptr<grpc::Channel> channel_;
  AgentCore core_;
  AgentMetrics metrics_;
  std::shared_ptr<Session> session_;
  std::string last_session_error_;
  struct RunningRank {
    uint32_t slot = 0;
    std::unique_ptr<RankProcess> process;
  };
  std::map<RankKey, RunningRank> ranks_;
  absl::Duration last_sample_ = -absl::InfiniteDuration();
  absl::Duration awake_at_;  // when the loop last ran
  std::map<RankKey, int> starting_;  // ranks whose files are being prepared, and the signal to send afterwards; 0: none
  ModelsInUse models_;
  bool ended_ = false;
  std::unique_ptr<DiskWorker> disk_;  // declared last: its remaining work needs the other members
};

}  // namespace muster
