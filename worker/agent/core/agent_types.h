// The events that go into the agent's core and the actions that come out of it: values only.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "common/process/child_process.h"
#include "muster/internal/v1/worker.pb.h"
#include "muster/rank/v1/rank.pb.h"

namespace muster {

struct AttemptKey {
  std::string job;
  uint32_t attempt = 0;
  auto operator<=>(const AttemptKey&) const = default;
};
struct RankKey {
  AttemptKey attempt;
  uint32_t rank = 0;
  auto operator<=>(const RankKey&) const = default;
};
std::string ToString(const AttemptKey& key);  // "j7#1"
std::string ToString(const RankKey& key);     // "j7#1 rank 0"

struct MessageReceived {  // from the coordinator, over the session that was opened last
  muster::internal::v1::CoordinatorMessage message;
};
struct SessionEnded {
  std::string reason;
};
struct RankReported {
  RankKey rank;
  muster::rank::v1::RankMessage message;
};
struct RankReportIsBroken {  // the rank wrote bytes to its pipe that are not a message
  RankKey rank;
  std::string reason;
};
struct RankWrote {  // complete lines, valid UTF-8
  RankKey rank;
  std::string text;
};
struct RankEnded {  // the last event of a rank
  RankKey rank;
  ExitStatus status;
  std::string log_tail;  // at most 4 KiB of complete lines, valid UTF-8
  std::string start_error;  // not empty: it could not be started
};
struct Overslept {  // the agent was frozen for this long, perhaps with its host; precedes events that are found afterwards
  absl::Duration by;
};
struct Tick {};
struct StopAsked {};  // the agent should end: its ranks save and stop; a second request stops them at once
using Event = std::variant<MessageReceived, SessionEnded, RankReported, RankReportIsBroken, RankWrote, RankEnded, Overslept, Tick,
                           StopAsked>;

struct OpenSession {
  muster::internal::v1::Hello hello;
};
struct CloseSession {  // SessionEnded follows
  std::string reason;
};
struct Send {
  muster::internal::v1::AgentMessage message;
};
struct StartRank {  // RankEnded follows, sooner or later
  RankKey rank;
  muster::rank::v1::RankConfig config;
  std::vector<uint32_t> cpus;  // that it is bound to; empty: none
};
struct SignalRank {
  RankKey rank;
  int signal;
};
struct RemoveScratch {
  AttemptKey attempt;
};
struct EndAgent {};
using Action = std::variant<OpenSession, CloseSession, Send, StartRank, SignalRank, RemoveScratch, EndAgent>;
using Actions = std::vector<Action>;

}  // namespace muster
