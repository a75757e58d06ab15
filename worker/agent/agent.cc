#include "worker/agent/agent.h"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/log.h"
#include "common/rpc/certificate_expiry.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::Duration kTurn = absl::Seconds(3);  // the loop runs at least this often, to show that the agent is alive
constexpr absl::Duration kLongestPause = absl::Seconds(2);  // beyond a turn; if longer, the process was frozen
constexpr absl::Duration kSampleInterval = absl::Seconds(2);  // of /proc

LogFields FieldsOf(const AttemptKey& key) { return {.job = key.job, .attempt = key.attempt}; }
LogFields FieldsOf(const RankKey& key) {
  return {.job = key.attempt.job, .attempt = key.attempt.attempt, .rank = key.rank};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(Options options, const Clock& clock,
                                                     MetricRegistry& metrics) {
  const std::filesystem::path& state = options.core.state;
  std::error_code error;
  std::filesystem::remove_all(state / "scratch", error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat((state / "scratch").string(), ": cannot be emptied: ", error.message()));
  }
  for (const char* folder : {"scratch", "cache", "logs"}) RETURN_IF_ERROR(MakeFolders(state / folder));

  std::unique_ptr<Agent> agent(new Agent(std::move(options), clock, metrics));
  ASSIGN_OR_RETURN(agent->loop_, PollLoop::Create());
  // Before gRPC starts its threads: they inherit the blocked signals.
  RETURN_IF_ERROR(agent->loop_->WatchSignals({SIGTERM, SIGINT}, [agent = agent.get()](int signal) {
    spdlog::info("signal {}: {}", signal, agent->core_.stopping() ? "stopping at once" : "draining");
    agent->Handle(StopAsked{});
  }));
  ASSIGN_OR_RETURN(agent->health_, HealthServer::Start({.address = agent->options_.health, .clock = &clock}));
  agent->disk_ = std::make_unique<DiskWorker>();  // after the signals are blocked, too
  agent->Prune();
  RETURN_IF_ERROR(PublishCertificateExpiry(agent->options_.security.certificates, metrics));
  ASSIGN_OR_RETURN(agent->channel_, MakeChannel(agent->options_.core.coordinator_address, agent->options_.security));
  return agent;
}

absl::Status Agent::Run() {
  awake_at_ = clock_.Monotonic();
  Handle(Tick{});
  while (!ended_) {
    health_->Beat();
    NoteAwake();
    const absl::Duration now = clock_.Monotonic();
    if (core_.next_tick() <= now) {
      Handle(Tick{});
    } else {
      loop_->RunOnce(std::min(core_.next_tick() - now, kTurn));
    }
  }
  while (session_ != nullptr) loop_->RunOnce(absl::InfiniteDuration());  // it calls back here until it has ended
  return absl::OkStatus();
}

void Agent::NoteAwake() {
  const absl::Duration now = clock_.Monotonic();
  const absl::Duration pause = now - awake_at_;
  awake_at_ = now;
  if (pause <= kTurn + kLongestPause) return;
  spdlog::warn("the agent was frozen for {} s, which do not count in its ranks' time to end", absl::ToInt64Seconds(pause));
  Handle(Overslept{pause});
}

void Agent::Handle(const Event& event) {
  NoteAwake();
  for (const Action& action : core_.Step(event, clock_.Monotonic())) {
    std::visit([this](const auto& concrete) { Do(concrete); }, action);
  }
  if (const auto* ended = std::get_if<RankEnded>(&event)) {
    // This code runs in one of the process's own callbacks, so it must not be destroyed here.
    loop_->Post([this, key = ended->rank] {
      ranks_.erase(key);
      SampleUsage();
    });
    models_.Release(ended->rank);
  }
  metrics_.Publish(core_);
  if (clock_.Monotonic() - last_sample_ >= kSampleInterval) SampleUsage();
  TellHealth();
}

void Agent::TellHealth() {
  if (core_.stopping()) return health_->SetReady(false, "the worker drains");
  if (!core_.connected()) return health_->SetReady(false, "no session with the coordinator");
  health_->SetReady(true, "the coordinator has welcomed this worker");
}

// Heartbeats ensure that this is called every few seconds.
void Agent::SampleUsage() {
  last_sample_ = clock_.Monotonic();
  std::map<RankKey, AgentMetrics::RankUsage> usage;
  for (const auto& [key, rank] : ranks_) {
    if (const auto used = UsageOf(rank.process->pid()); used.has_value()) usage[key] = {rank.slot, *used};
  }
  metrics_.SetUsage(usage);
}

void Agent::Do(const OpenSession& action) {
  session_ = Session::Open(
      channel_, action.hello,
      {.on_message =
           [this](muster::internal::v1::CoordinatorMessage message) {
             loop_->Post([this, message = std::move(message)] {
               if (message.has_welcome()) {
                 spdlog::info("session with the coordinator, epoch {}", message.welcome().epoch());
                 last_session_error_.clear();
               }
               Handle(MessageReceived{message});
             });
           },
       .on_end =
           [this](std::string reason) {
             loop_->Post([this, reason = std::move(reason)] {
               session_.reset();
               if (reason != last_session_error_) spdlog::warn("no session with the coordinator: {}", reason);
               last_session_error_ = reason;  // logged once, not at every try
               Handle(SessionEnded{reason});
             });
           }});
}

void Agent::Do(const CloseSession& action) {
  if (session_ == nullptr) return;
  spdlog::info("session closed: {}", action.reason);
  session_->Cancel();
}

void Agent::Do(const Send& action) {
  if (session_ != nullptr) session_->Send(action.message);
}

void Agent::Do(const StartRank& action) {
  std::vector<std::string> digests;
  for (const std::string& digest :
       {action.config.resolved().model_manifest(), action.config.resolved().tokenizer_manifest()}) {
    if (!digest.empty()) digests.push_back(digest);
  }
  models_.Use(action.rank, digests);
  starting_[action.rank] = 0;
  disk_->Post([this, key = action.rank, config = action.config, cpus = action.cpus, digests, now = clock_.Now()] {
    for (const std::string& digest : digests) MarkUsed(options_.core.state / "cache", digest, now);
    const absl::Status prepared = RankProcess::Prepare(key, config);
    loop_->Post([this, key, config, cpus, prepared] { StartPrepared(key, config, cpus, prepared); });
  });
}

void Agent::StartPrepared(const RankKey& key, const muster::rank::v1::RankConfig& config,
                          const std::vector<uint32_t>& cpus, const absl::Status& prepared) {
  const int signal = std::exchange(starting_[key], 0);
  starting_.erase(key);
  if (signal == SIGTERM || signal == SIGKILL) return Handle(RankEnded{key, {-1, signal}, "", ""});
  RankProcess::Options options;
  options.binary = options_.rank_binary;
  options.log_folder = options_.core.state / "logs";
  options.environment = options_.environment;
  options.cpus = cpus;
  options.loop = loop_.get();
  options.disk = disk_.get();
  options.on_event = [this](Event event) { Handle(event); };
  options.on_log_bytes = [this](size_t bytes) { metrics_.AddLogBytes(bytes); };
  const ScopedLogFields about(FieldsOf(key));
  auto rank = prepared.ok() ? RankProcess::Start(key, config, options)
                            : absl::StatusOr<std::unique_ptr<RankProcess>>(prepared);
  if (!rank.ok()) {
    spdlog::error("the rank cannot be started: {}", std::string(rank.status().message()));
    return Handle(RankEnded{key, {-1, 0}, "", std::string(rank.status().message())});
  }
  spdlog::info("rank started on slot {}", config.slot());
  ranks_[key] = {config.slot(), *std::move(rank)};
  if (signal != 0) ranks_[key].process->Signal(signal);
}

void Agent::Do(const SignalRank& action) {
  if (const auto starting = starting_.find(action.rank); starting != starting_.end()) starting->second = action.signal;
  const auto rank = ranks_.find(action.rank);
  if (rank == ranks_.end()) return;
  const ScopedLogFields about(FieldsOf(action.rank));
  spdlog::info("signal {}", action.signal);
  rank->second.process->Signal(action.signal);
}

void Agent::Do(const RemoveScratch& action) {
  disk_->Post([state = options_.core.state, attempt = action.attempt] {
    std::error_code error;
    std::filesystem::remove_all(AttemptScratch(state, attempt), error);
    const ScopedLogFields about(FieldsOf(attempt));
    if (error) spdlog::warn("scratch not removed: {}", error.message());
  });
  Prune();
}

void Agent::Prune() {
  disk_->Post([this] {
    const std::filesystem::path& state = options_.core.state;
    PruneLogs(state / "logs", options_.kept_logs);
    const uint64_t freed = PruneCache(state / "cache", options_.cache_bytes, models_, state / "scratch");
    if (freed > 0) spdlog::info("removed {} bytes of cached models that were not used for the longest time", freed);
  });
}

}  // namespace muster
