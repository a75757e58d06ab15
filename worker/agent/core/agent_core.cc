#include "worker/agent/core/agent_core.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "common/version.h"

namespace muster {

std::string ToString(const AttemptKey& key) { return absl::StrCat(key.job, "#", key.attempt); }
std::string ToString(const RankKey& key) { return absl::StrCat(ToString(key.attempt), " rank ", key.rank); }

std::filesystem::path AttemptScratch(const std::filesystem::path& state, const AttemptKey& attempt) {
  return state / "scratch" / absl::StrCat(attempt.job, "-a", attempt.attempt);
}

AgentCore::AgentCore(AgentCoreOptions options)
    : options_(std::move(options)), backoff_(options_.min_backoff), open_at_(-absl::InfiniteDuration()) {}

Actions AgentCore::Step(const Event& event, absl::Duration now) {
  now_ = now;
  if (ended_) return {};
  std::visit([this](const auto& concrete) { On(concrete); }, event);
  Settle();
  return std::exchange(actions_, {});
}

absl::Duration AgentCore::next_tick() const {
  absl::Duration next = absl::InfiniteDuration();
  for (const auto& due : {open_at_, welcome_by_, heartbeat_at_, orphan_at_, relay_at_, farewell_at_, drained_by_}) {
    if (due.has_value()) next = std::min(next, *due);
  }
  for (const auto& [key, attempt] : attempts_) {
    for (const auto& [number, rank] : attempt.ranks) {
      if (rank.kill_at.has_value()) next = std::min(next, *rank.kill_at);
    }
  }
  return next;
}

size_t AgentCore::ranks_running() const {
  size_t count = 0;
  for (const auto& [key, attempt] : attempts_) {
    for (const auto& [number, rank] : attempt.ranks) count += rank.running;
  }
  return count;
}

void AgentCore::On(const MessageReceived& event) {
  if (session_ == Session::kNone) return;
  switch (event.message.message_case()) {
    case muster::internal::v1::CoordinatorMessage::kWelcome: return Welcome(event.message.welcome());
    case muster::internal::v1::CoordinatorMessage::kDesired: return Desire(event.message.desired());
    case muster::internal::v1::CoordinatorMessage::kAck:
      // Before the welcome, anything sent in this session would be lost.
      if (session_ == Session::kWelcomed) outbox_.Acknowledge(event.message.ack().sequence());
      return;
    case muster::internal::v1::CoordinatorMessage::MESSAGE_NOT_SET: return;  // of a newer coordinator
  }
}

void AgentCore::Welcome(const muster::internal::v1::Welcome& welcome) {
  if (welcome.epoch() < epoch_) {
    actions_.push_back(CloseSession{absl::StrCat("the coordinator's epoch ", welcome.epoch(), " is older than ", epoch_,
                                                 " of the previous one. If its state was reset: restart this worker.")});
    return;
  }
  epoch_ = welcome.epoch();
  data_addresses_.assign(welcome.data_addresses().begin(), welcome.data_addresses().end());
  if (welcome.heartbeat_milliseconds() > 0) heartbeat_every_ = absl::Milliseconds(welcome.heartbeat_milliseconds());
  session_ = Session::kWelcomed;
  welcome_by_.reset();
  orphan_at_.reset();
  backoff_ = options_.min_backoff;
  heartbeat_at_ = now_ + heartbeat_every_;
  ++counters_.sessions;
  for (const auto& report : outbox_.pending()) {
    muster::internal::v1::AgentMessage message;
    *message.mutable_report() = report;
    SendNow(std::move(message));
  }
}

void AgentCore::On(const SessionEnded&) {
  if (session_ == Session::kWelcomed) orphan_at_ = now_ + options_.orphan_after;
  session_ = Session::kNone;
  welcome_by_.reset();
  heartbeat_at_.reset();
  // Workers that lost the same coordinator should not all reconnect at the same moment.
  const uint64_t draw = MixKey(std::hash<std::string>{}(options_.facts.instance), counters_.sessions + attempts_.size());
  const double spread = 0.75 + 0.5 * static_cast<double>(draw >> 11) * 0x1.0p-53;
  open_at_ = now_ + backoff_ * spread;
  backoff_ = std::min(backoff_ * 2, options_.max_backoff);
}

void AgentCore::On(const RankReported& event) {
  Rank* rank = RankFromKey(event.rank);
  if (rank == nullptr || !rank->running) return;
  rank->heard = now_;
  muster::internal::v1::Report report;
  switch (event.message.message_case()) {
    case muster::rank::v1::RankMessage::kProgress:
      rank->history.progress = event.message.progress();
      return relay_.AddProgress(event.rank.attempt, event.message.progress());
    case muster::rank::v1::RankMessage::kStarted:
      report.mutable_rank_started()->set_rank(event.rank.rank);
      break;
    case muster::rank::v1::RankMessage::kCheckpoint:
      *report.mutable_checkpoint()->mutable_checkpoint() = event.message.checkpoint().checkpoint();
      break;
    case muster::rank::v1::RankMessage::kEvaluation:
      *report.mutable_evaluation() = event.message.evaluation();
      break;
    case muster::rank::v1::RankMessage::kExported:
      *report.mutable_exported() = event.message.exported();
      break;
    case muster::rank::v1::RankMessage::kEpochClosed:
      *report.mutable_epoch_closed() = event.message.epoch_closed();
      break;
    case muster::rank::v1::RankMessage::kCheckpointRefused:
      *report.mutable_checkpoint_refused() = event.message.checkpoint_refused();
      break;
    case muster::rank::v1::RankMessage::kTrace:
      *report.mutable_trace() = event.message.trace();
      break;
    case muster::rank::v1::RankMessage::kActivity: return NoteActivity(*rank, event.message.activity());
    case muster::rank::v1::RankMessage::kResult:
      rank->history.result = event.message.result();
      if (!rank->kill_at.has_value() && !rank->killed) {
        rank->kill_at = now_ + options_.exit_grace;
        rank->late = absl::StrCat("did not end within ", absl::FormatDuration(options_.exit_grace), " after its result");
      }
      return;
    case muster::rank::v1::RankMessage::MESSAGE_NOT_SET: return;
  }
  SendReport(event.rank.attempt, std::move(report));
}

void AgentCore::NoteActivity(Rank& rank, const muster::internal::v1::RankActivity& activity) {
  const bool first = !rank.activity.has_value();
  const bool same_phase = !first && rank.activity->phase() == activity.phase() &&
                          rank.activity->step() == activity.step() &&
                          rank.activity->collectives() == activity.collectives() &&
                          rank.activity->in_collective() == activity.in_collective();
  const bool waits = !activity.unreachable().empty(), waited = !first && !rank.activity->unreachable().empty();
  if (!same_phase) rank.in_phase_since = now_;
  rank.activity = activity;
  // The no-progress timer stops when the coordinator receives this.
  if (waits != waited && session_ == Session::kWelcomed) SendHeartbeat();
}

void AgentCore::On(const RankReportIsBroken& event) {
  Rank* rank = RankFromKey(event.rank);
  if (rank == nullptr || !rank->running || rank->killed) return;
  rank->history.nonsense = true;
  KillRank(event.rank, *rank, absl::StrCat("killed: what it reported cannot be read: ", event.reason));
}

void AgentCore::On(const RankWrote& event) { relay_.AddLog(event.rank, event.text); }

void AgentCore::On(const RankEnded& event) {
  Rank* rank = RankFromKey(event.rank);
  if (rank == nullptr || !rank->running) return;
  rank->running = false;
  rank->kill_at.reset();
  FlushRelay();  // its last lines precede the report of its end
  ReportExit(event, rank->history);
}

void AgentCore::On(const Overslept& event) {
  // This host was frozen: its ranks could not run either, and the coordinator's answers from that time have not been read.
  // `orphan_at_` is not moved: the coordinator was not frozen, and gives the slots to others.
  if (welcome_by_.has_value()) *welcome_by_ += event.by;
  if (drained_by_.has_value()) *drained_by_ += event.by;
  for (auto& [key, attempt] : attempts_) {
    for (auto& [number, rank] : attempt.ranks) {
      if (rank.kill_at.has_value()) *rank.kill_at += event.by;
    }
  }
}

void AgentCore::On(const StopAsked&) {
  if (stopping_ || options_.drain_timeout <= absl::ZeroDuration()) {
    stopping_ = true;
    drained_by_.reset();
    for (auto& [key, attempt] : attempts_) StopAttempt(key, attempt, "the worker is stopping");
    return;
  }
  stopping_ = true;
  drained_by_ = now_ + options_.drain_timeout;
  if (session_ == Session::kWelcomed) SendHeartbeat();  // so that the coordinator knows before ranks end
  for (auto& [key, attempt] : attempts_) SaveAttempt(key, attempt, "the worker drains");
}

void AgentCore::Settle() {
  RunTimers();
  for (auto& [key, attempt] : attempts_) SettleAttempt(key, attempt);
  for (auto it = attempts_.begin(); it != attempts_.end();) {
    const bool gone = !it->second.desired && std::none_of(it->second.ranks.begin(), it->second.ranks.end(),
                                                          [](const auto& entry) { return entry.second.running; });
    if (gone) actions_.push_back(RemoveScratch{it->first});
    it = gone ? attempts_.erase(it) : std::next(it);
  }
  if (!relay_.empty() && !relay_at_.has_value()) relay_at_ = now_ + options_.relay_interval;
  MaybeEnd();
}

void AgentCore::RunTimers() {
  const auto due = [this](std::optional<absl::Duration>& at) {
    const bool is_due = at.has_value() && now_ >= *at;
    if (is_due) at.reset();
    return is_due;
  };
  if (due(open_at_) && !ended_) {
    session_ = Session::kOpening;
    welcome_by_ = now_ + options_.welcome_timeout;
    actions_.push_back(OpenSession{MakeHello()});
  }
  if (due(welcome_by_)) actions_.push_back(CloseSession{"the coordinator does not answer"});
  if (due(heartbeat_at_)) SendHeartbeat();
  if (due(drained_by_)) {
    const std::string reason = absl::StrCat("the worker is stopping, and its ranks had ",
                                            absl::FormatDuration(options_.drain_timeout), " to save");
    for (auto& [key, attempt] : attempts_) StopAttempt(key, attempt, reason);
  }
  if (due(orphan_at_)) {
    const std::string reason = absl::StrCat("no coordinator for ", absl::FormatDuration(options_.orphan_after));
    for (auto& [key, attempt] : attempts_) StopAttempt(key, attempt, reason);
  }
  if (due(relay_at_)) FlushRelay();
  for (auto& [key, attempt] : attempts_) {
    for (auto& [number, rank] : attempt.ranks) {
      if (due(rank.kill_at)) KillRank({key, number}, rank, rank.late);
    }
  }
}

void AgentCore::SendHeartbeat() {
  muster::internal::v1::AgentMessage message;
  AddObserved(*message.mutable_heartbeat());
  message.mutable_heartbeat()->set_draining(stopping_);
  SendNow(std::move(message));
  heartbeat_at_ = now_ + heartbeat_every_;
}

void AgentCore::FlushRelay() {
  relay_at_.reset();
  if (session_ != Session::kWelcomed) return;  // kept, up to its limit
  for (auto& message : relay_.Take()) SendNow(std::move(message));
}

void AgentCore::MaybeEnd() {
  if (!stopping_ || ranks_running() > 0) return;
  const bool pending = !outbox_.pending().empty();
  if (pending && session_ != Session::kWelcomed && drained_by_.has_value()) {
    farewell_at_.reset();
    return;  // the coordinator must receive what ranks saved; if it is being replaced, it will return
  }
  if (!farewell_at_.has_value()) farewell_at_ = now_ + options_.farewell;
  if (pending && session_ == Session::kWelcomed && now_ < *farewell_at_) return;
  FlushRelay();
  ended_ = true;
  if (session_ != Session::kNone) actions_.push_back(CloseSession{"the worker is stopping"});
  actions_.push_back(EndAgent{});
}

void AgentCore::SendReport(const AttemptKey& key, muster::internal::v1::Report report) {
  report.set_job_id(key.job);
  report.set_attempt(key.attempt);
  muster::internal::v1::AgentMessage message;
  *message.mutable_report() = outbox_.Add(std::move(report));
  if (session_ == Session::kWelcomed) SendNow(std::move(message));
}

void AgentCore::SendNow(muster::internal::v1::AgentMessage message) { actions_.push_back(Send{std::move(message)}); }

muster::internal::v1::Hello AgentCore::MakeHello() const {
  muster::internal::v1::Hello hello;
  hello.set_worker(options_.facts.worker);
  hello.set_host(options_.facts.host);
  hello.set_device(options_.facts.device);
  hello.set_device_name(options_.facts.device_name);
  hello.set_slots(options_.facts.slots);
  hello.set_cores(options_.facts.cores);
  hello.set_memory_bytes(options_.facts.memory_bytes);
  hello.set_instance(options_.facts.instance);
  hello.set_version(options_.facts.version);
  hello.set_protocol(kProtocol);
  hello.set_draining(stopping_);
  AddObserved(hello);
  return hello;
}

template <typename Message>
void AgentCore::AddObserved(Message& message) const {
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.stage != Stage::kPrepared && attempt.stage != Stage::kStarted) continue;
    muster::internal::v1::ObservedAttempt& observed = *message.add_attempts();
    observed.set_job_id(key.job);
    observed.set_attempt(key.attempt);
    observed.set_phase(attempt.stage == Stage::kPrepared ? muster::internal::v1::ASSIGNMENT_PHASE_PREPARE
                                                         : muster::internal::v1::ASSIGNMENT_PHASE_RUN);
    for (const auto& [number, rank] : attempt.ranks) {
      if (!rank.running) continue;
      observed.add_running_ranks(number);
      if (!rank.activity.has_value()) continue;
      muster::internal::v1::RankActivity& activity = *observed.add_activities();
      activity = *rank.activity;
      activity.set_rank(number);
      activity.set_seconds_ago(absl::ToDoubleSeconds(now_ - rank.in_phase_since));
      activity.set_silent_seconds(absl::ToDoubleSeconds(now_ - rank.heard));
    }
  }
}

AgentCore::Rank* AgentCore::RankFromKey(const RankKey& key) {
  const auto attempt = attempts_.find(key.attempt);
  if (attempt == attempts_.end()) return nullptr;
  const auto rank = attempt->second.ranks.find(key.rank);
  return rank == attempt->second.ranks.end() ? nullptr : &rank->second;
}

}  // namespace muster
