// The agent as a state machine: events in, actions out. No clock, no I/O, no threads.
//
// An attempt on this worker:
//
//              slots free                    RUN                      all ranks ended
//   Waiting ──────────────► Prepared ──────────────► Started ······► (stays until it is no longer desired)
//      │ slots held by another, device missing
//      └──────────────────► Refused
//
// An attempt that the coordinator does not list is stopped (SIGTERM; after `stop_grace` SIGKILL for each rank's whole
// process group). It keeps its slots until its last rank has ended, and is then forgotten. An attempt that asks for such
// slots waits for them; one that asks for slots of another desired attempt is refused.
//
// When a rank dies the agent only reports it: what happens to the others is the coordinator's decision.
//
// An agent that is asked to end drains: it reports that, its ranks save the step at which they stop (SIGUSR1), and it ends with
// the last of them. After `drain_timeout`, or when it is asked again, they are stopped as above.
//
// A lost session changes nothing at first: ranks keep running, reports are kept, and the agent retries forever. After
// `orphan_after` without one all ranks are stopped, before the coordinator gives their slots to others.
//
// If the coordinator asks for RUN of an attempt that was not prepared here, an earlier instance of this agent started it.
// Its ranks died with that instance; that is reported, and they are not started again: their peers cannot accept them
// again.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "worker/agent/core/agent_types.h"
#include "worker/agent/core/outbox.h"
#include "worker/agent/core/rank_exit.h"
#include "worker/agent/core/relay.h"

namespace muster {

struct AgentFacts {
  std::string worker, host, device, device_name, instance, version;
  uint32_t slots = 1, cores = 1;
  std::vector<uint32_t> cpus;  // numbers of the processors that the agent may use
  uint64_t memory_bytes = 0;
};

struct AgentCoreOptions {
  AgentFacts facts;
  std::string coordinator_address;
  std::string certificates;       // folder; empty: insecure
  std::string token_file;         // of a worker without a certificate; empty: none
  std::string interface_address;  // that Gloo binds
  std::string log_format = "text";  // of the ranks: text, json
  std::filesystem::path state;
  absl::Duration stop_grace = absl::Seconds(10);
  absl::Duration drain_timeout = absl::Seconds(100);  // how long ranks may take to save and stop after StopAsked
  absl::Duration exit_grace = absl::Seconds(30);     // from a rank's result to its exit
  absl::Duration welcome_timeout = absl::Seconds(15);
  // The coordinator withholds a silent worker's slots for 10 minutes. This leaves 30 s to notice a dead connection
  // (keepalive of common/rpc), 10 s until the last rank is killed, and 20 s of margin.
  absl::Duration orphan_after = absl::Minutes(9);
  absl::Duration relay_interval = absl::Milliseconds(250);
  absl::Duration farewell = absl::Seconds(2);  // how long to wait for the last acknowledgments
  absl::Duration min_backoff = absl::Milliseconds(200), max_backoff = absl::Seconds(5);
};

// STATE/scratch/JOB-aN: what an attempt leaves on this host.
std::filesystem::path AttemptScratch(const std::filesystem::path& state, const AttemptKey& attempt);

class AgentCore {
 public:
  explicit AgentCore(AgentCoreOptions options);

  // `now` never goes back. Actions must be carried out in order.
  Actions Step(const Event& event, absl::Duration now);
  // When the next Tick is due at the latest.
  absl::Duration next_tick() const;

  struct Counters {
    uint64_t sessions = 0;                       // sessions that were welcomed
    std::map<muster::internal::v1::ExitCause, uint64_t> exits;
  };
  const Counters& counters() const { return counters_; }
  bool connected() const { return session_ == Session::kWelcomed; }
  bool stopping() const { return stopping_; }
  size_t reports_pending() const { return outbox_.pending().size(); }
  size_t ranks_running() const;

 private:
  enum class Session { kNone, kOpening, kWelcomed };
  enum class Stage { kWaiting, kRefused, kPrepared, kStarted };
  struct Rank {
    uint32_t slot = 0;
    bool running = false;
    bool asked_to_save = false, signaled = false, killed = false;
    std::optional<absl::Duration> kill_at;
    std::optional<muster::internal::v1::RankActivity> activity;  // the last activity that it reported
    absl::Duration in_phase_since, heard;
    std::string late;  // what to report if it is still running at kill_at
    RankHistory history;
  };
  struct Attempt {
    muster::internal::v1::Assignment assignment;
    Stage stage = Stage::kWaiting;
    bool desired = true;
    std::map<uint32_t, Rank> ranks;
  };
  using Attempts = std::map<AttemptKey, Attempt>;

  void On(const MessageReceived& event);
  void On(const SessionEnded& event);
  void On(const RankReported& event);
  void NoteActivity(Rank& rank, const muster::internal::v1::RankActivity& activity);
  void On(const RankReportIsBroken& event);
  void On(const RankWrote& event);
  void On(const RankEnded& event);
  void On(const Overslept& event);
  void On(const Tick&) {}
  void On(const StopAsked&);

  void Welcome(const muster::internal::v1::Welcome& welcome);
  void Desire(const muster::internal::v1::DesiredState& desired);
  void Adopt(const AttemptKey& key, const muster::internal::v1::Assignment& assignment);

  // Runs after every event: takes the actions that have become possible or due.
  void Settle();
  void SettleAttempt(const AttemptKey& key, Attempt& attempt);
  void RunTimers();
  void SendHeartbeat();
  void FlushRelay();
  void MaybeEnd();

  enum class Slots { kFree, kBeingFreed, kRefused };
  Slots CheckSlots(const AttemptKey& key, const Attempt& attempt, std::string& reason) const;
  void StartRanks(const AttemptKey& key, Attempt& attempt);
  muster::rank::v1::RankConfig ConfigFor(const RankKey& key, const Attempt& attempt, uint32_t slot) const;
  // Makes all ranks stop after the same step and save it, even if the request reaches them at different steps.
  void SaveAttempt(const AttemptKey& key, Attempt& attempt, const std::string& reason);
  void StopAttempt(const AttemptKey& key, Attempt& attempt, const std::string& reason);
  void KillRank(const RankKey& key, Rank& rank, const std::string& reason);
  void ReportExit(const RankEnded& ended, const RankHistory& history);
  void SendReport(const AttemptKey& key, muster::internal::v1::Report report);
  void SendNow(muster::internal::v1::AgentMessage message);
  muster::internal::v1::Hello MakeHello() const;
  template <typename Message>
  void AddObserved(Message& message) const;  // Hello or Heartbeat
  Rank* RankFromKey(const RankKey& key);

  const AgentCoreOptions options_;
  absl::Duration now_;
  Actions actions_;  // of the current event

  Session session_ = Session::kNone;
  uint64_t epoch_ = 0;  // the highest one seen: older coordinators are ignored
  std::vector<std::string> data_addresses_;
  absl::Duration heartbeat_every_ = absl::Seconds(3);
  absl::Duration backoff_;
  std::optional<absl::Duration> open_at_, welcome_by_, heartbeat_at_, orphan_at_, relay_at_, farewell_at_, drained_by_;
  bool stopping_ = false, ended_ = false;

  Attempts attempts_;
  Outbox outbox_;
  Relay relay_;
  Counters counters_;
};

}  // namespace muster
