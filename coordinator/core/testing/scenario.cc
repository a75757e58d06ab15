#include "coordinator/core/testing/scenario.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/status.h"
#include "common/version.h"
#include "coordinator/core/check_state.h"
#include "coordinator/core/desired.h"
#include "coordinator/core/future_times.h"
#include "coordinator/core/job_machine.h"
#include "coordinator/core/step.h"
#include "coordinator/core/testing/snapshot.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

using muster::internal::v1::Report;
using muster::v1::JobPhase;

// Splits at spaces; "…" is one word.
std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  bool quoted = false, open = false;
  for (const char c : text) {
    if (c == '"') {
      quoted = !quoted;
      if (quoted) words.emplace_back();
      open = quoted;
    } else if (c == ' ' && !quoted) {
      open = false;
    } else {
      if (!open) words.emplace_back();
      open = true;
      words.back().push_back(c);
    }
  }
  return words;
}

std::string Option(const std::vector<std::string>& words, absl::string_view key, std::string otherwise) {
  for (const std::string& word : words) {
    if (absl::StartsWith(word, absl::StrCat(key, "="))) return word.substr(key.size() + 1);
  }
  return otherwise;
}

uint32_t Number(const std::string& text) {
  uint32_t number = 0;
  return absl::SimpleAtoi(text, &number) ? number : 0;
}

struct Agent {
  muster::internal::v1::Hello hello;
  bool silent = false, draining = false;
  uint64_t session = 0, sequence = 0;
  int instance = 1;
  std::map<AttemptKey, std::set<uint32_t>> running;
  std::map<AttemptKey, std::map<uint32_t, muster::internal::v1::RankActivity>> activities;
};

AgentHeartbeat HeartbeatOf(const std::string& name, const Agent& agent) {
  AgentHeartbeat heartbeat{name, agent.session, {}};
  heartbeat.heartbeat.set_draining(agent.draining);
  for (const auto& [attempt, ranks] : agent.running) {
    auto* observed = heartbeat.heartbeat.add_attempts();
    observed->set_job_id(attempt.first);
    observed->set_attempt(attempt.second);
    for (const uint32_t rank : ranks) observed->add_running_ranks(rank);
    const auto activities = agent.activities.find(attempt);
    if (activities == agent.activities.end()) continue;
    for (const auto& [rank, activity] : activities->second) {
      if (ranks.contains(rank)) *observed->add_activities() = activity;
    }
  }
  return heartbeat;
}

class Runner {
 public:
  absl::Status Line(absl::string_view line);

 private:
  absl::Status Command(const std::vector<std::string>& words);
  absl::Status Act(const std::vector<std::string>& words);
  absl::Status RankReport(const std::vector<std::string>& words);
  void Give(const Event& event);
  void Commit(const std::vector<Record>& records);
  void Tell(const JobRecord* before, const JobRecord& after);
  void TellStops(const std::map<std::string, std::set<AttemptKey>>& before);
  void Note(const Effect& effect);
  // For each worker: the attempts that it should run, and those of them that should save and stop.
  std::map<std::string, std::set<AttemptKey>> Desired(bool saving = false) const;
  void Hello(Agent& agent);
  void Send(const std::string& worker, Report report);
  void Advance(absl::Duration time);
  absl::Status Restart(absl::Duration clock);
  // "a#1" → its job, attempt; workers → ranks.
  std::map<std::string, std::vector<uint32_t>> RanksOf(const std::string& job, uint32_t attempt) const;

  absl::Time now_ = absl::FromUnixSeconds(1000000);
  State state_;
  std::unique_ptr<Soft> soft_ = std::make_unique<Soft>(Soft{now_});
  std::vector<Record> journal_;
  std::map<std::string, Agent> agents_;
  std::vector<std::string> outcome_;
  std::pair<std::string, Report> last_;
  uint64_t last_session_ = 0;
};

std::map<std::string, std::set<AttemptKey>> Runner::Desired(bool saving) const {
  std::map<std::string, std::set<AttemptKey>> result;
  for (const auto& [name, agent] : agents_) {
    const muster::internal::v1::DesiredState desired = DesiredStateOf(state_, name);
    for (const auto& assignment : desired.assignments()) {
      if (saving && !assignment.save_and_stop()) continue;
      result[name].insert({assignment.job_id(), assignment.attempt()});
    }
  }
  return result;
}

void Runner::TellStops(const std::map<std::string, std::set<AttemptKey>>& before) {
  const auto after = Desired();
  for (const auto& [worker, attempts] : before) {
    for (const AttemptKey& attempt : attempts) {
      const auto now = after.find(worker);
      if (now != after.end() && now->second.contains(attempt)) continue;
      if (!agents_.at(worker).running.contains(attempt) || agents_.at(worker).silent) continue;
      outcome_.push_back(absl::StrCat("stop ", attempt.first, "#", attempt.second, " ", worker));
    }
  }
}

void Runner::Tell(const JobRecord* before, const JobRecord& after) {
  const std::string& id = after.job().id();
  if (before != nullptr && before->has_running() &&
      (!after.has_running() || after.running().number() != before->running().number())) {
    for (const auto& info : after.job().attempts()) {
      if (info.number() != before->running().number()) continue;
      outcome_.push_back(absl::StrCat("end ", id, "#", info.number(), " \"", info.end_reason(), "\""));
    }
  }
  const JobPhase phase = after.job().phase();
  if (before != nullptr && before->job().phase() == phase) {
    if (before->job().reason() != after.job().reason()) {
      outcome_.push_back(absl::StrCat(PhaseName(phase), " ", id, " \"", after.job().reason(), "\""));
    }
    return;
  }
  if (phase == JobPhase::JOB_PHASE_RESERVING) {
    std::map<std::string, std::vector<uint32_t>> slots;
    for (const auto& rank : after.job().attempts().rbegin()->ranks()) slots[rank.worker()].push_back(rank.slot());
    std::string text = absl::StrCat("reserve ", id, "#", after.running().number());
    for (const auto& [worker, numbers] : slots) absl::StrAppend(&text, " ", worker, "[", absl::StrJoin(numbers, ","), "]");
    const std::string& ahead = after.running().started_ahead();
    if (!ahead.empty()) absl::StrAppend(&text, " \"", ahead, "\"");
    outcome_.push_back(text);
  } else if (phase == JobPhase::JOB_PHASE_STARTING) {
    outcome_.push_back(
        absl::StrCat("start ", id, "#", after.running().number(), " world=", after.running().ranks_size()));
  } else if (phase == JobPhase::JOB_PHASE_TRAINING) {
    outcome_.push_back(absl::StrCat("training ", id, " from=", CheckpointStep(after)));
  } else if (phase == JobPhase::JOB_PHASE_SUCCEEDED && !after.stopped_early().empty()) {
    outcome_.push_back(absl::StrCat("succeeded ", id, " \"", after.job().reason(), "\""));
  } else if (phase == JobPhase::JOB_PHASE_FAILED) {
    outcome_.push_back(absl::StrCat("failed ", id, " \"", after.job().reason(), "\""));
  } else if (phase != JobPhase::JOB_PHASE_QUEUED || before != nullptr) {
    outcome_.push_back(absl::StrCat(PhaseName(phase), " ", id));
  }
}

void Runner::Note(const Effect& effect) {
  if (const auto* stale = std::get_if<CountStale>(&effect)) {
    outcome_.push_back(absl::StrCat("refuse ", stale->kind, " \"", stale->detail, "\""));
  } else if (const auto* collect = std::get_if<CollectBlobs>(&effect)) {
    outcome_.push_back(absl::StrCat("collect ", collect->manifest));
  } else if (const auto* reply = std::get_if<Reply>(&effect); reply != nullptr && !reply->status.ok()) {
    outcome_.push_back(absl::StrCat("error \"", std::string(reply->status.message()), "\""));
  }
}

void Runner::Commit(const std::vector<Record>& records) {
  for (const Record& record : records) {
    const JobRecord* known = record.has_job() ? FindJob(state_, record.job().job().id()) : nullptr;
    const JobRecord before = known != nullptr ? *known : JobRecord();
    Apply(record, state_).IgnoreError();
    journal_.push_back(record);
    if (record.has_job()) Tell(known != nullptr ? &before : nullptr, record.job());
  }
}

void Runner::Give(const Event& event) {
  std::vector<Event> events = {event};
  std::map<std::string, std::string> waiting;
  for (const auto& [id, record] : state_.jobs) waiting[id] = WaitingReason(record, *soft_).text;
  while (!events.empty()) {
    const auto desired = Desired(), saving = Desired(/*saving=*/true);
    const bool plans = std::holds_alternative<Plan>(events.back());
    const Decision decision = Step(state_, *soft_, events.back(), now_);
    events.pop_back();
    Commit(decision.records);
    for (const Effect& effect : decision.effects) Note(effect);
    TellStops(desired);
    for (const auto& [worker, attempts] : Desired(/*saving=*/true)) {
      const auto known = saving.find(worker);
      for (const AttemptKey& attempt : attempts) {
        if (known != saving.end() && known->second.contains(attempt)) continue;
        outcome_.push_back(absl::StrCat("save ", attempt.first, "#", attempt.second, " ", worker));
      }
    }
    for (const auto& [id, record] : state_.jobs) {
      const std::string reason = WaitingReason(record, *soft_).text;
      const bool told = plans || (soft_->jobs.contains(id) && soft_->jobs.at(id).held);
      if (told && reason != waiting[id]) {
        waiting[id] = reason;
        if (!reason.empty()) outcome_.push_back(absl::StrCat("wait ", id, " \"", reason, "\""));
      }
    }
    if (decision.replan) events.push_back(Plan{});
  }
}

void Runner::Hello(Agent& agent) {
  agent.session = ++last_session_;
  agent.hello.set_instance(absl::StrCat(agent.instance));
  agent.hello.set_draining(agent.draining);
  muster::internal::v1::Hello hello = agent.hello;
  for (const auto& [attempt, ranks] : agent.running) {
    auto* observed = hello.add_attempts();
    observed->set_job_id(attempt.first);
    observed->set_attempt(attempt.second);
    for (const uint32_t rank : ranks) observed->add_running_ranks(rank);
  }
  Give(AgentHello{agent.session, hello});
}

void Runner::Send(const std::string& worker, Report report) {
  Agent& agent = agents_.at(worker);
  report.set_sequence(++agent.sequence);
  last_ = {worker, report};
  Give(AgentReport{worker, agent.session, report});
}

void Runner::Advance(absl::Duration time) {
  for (absl::Duration passed; passed < time; passed += absl::Seconds(1)) {
    now_ += absl::Seconds(1);
    for (auto& [name, agent] : agents_) {
      for (auto& [attempt, activities] : agent.activities) {
        for (auto& [rank, activity] : activities) activity.set_seconds_ago(activity.seconds_ago() + 1);
      }
      if (agent.silent || absl::ToUnixSeconds(now_) % 3 != 0) continue;
      Give(HeartbeatOf(name, agent));
    }
    Give(Tick{});
  }
}

absl::Status Runner::Restart(absl::Duration clock) {
  State replayed;
  for (const Record& record : journal_) RETURN_IF_ERROR(Apply(record, replayed));
  if (SnapshotBytes(replayed) != SnapshotBytes(state_)) return absl::InternalError("the replayed state differs");
  absl::StatusOr<State> loaded = Reloaded(state_);
  if (!loaded.ok()) return loaded.status();
  if (SnapshotBytes(*loaded) != SnapshotBytes(state_)) return absl::InternalError("the reloaded state differs");
  for (const State* state : {&state_, &replayed, &*loaded}) RETURN_IF_ERROR(CheckDerived(*state));
  state_ = *std::move(loaded);
  now_ += clock;
  Commit(WithoutFutureTimes(state_, now_));
  soft_ = std::make_unique<Soft>(Soft{now_});
  Record epoch;
  epoch.mutable_epoch()->set_epoch(state_.epoch + 1);
  Commit({epoch});
  for (auto& [name, agent] : agents_) {
    if (!agent.silent) Hello(agent);
  }
  return absl::OkStatus();
}

std::map<std::string, std::vector<uint32_t>> Runner::RanksOf(const std::string& job, uint32_t attempt) const {
  std::map<std::string, std::vector<uint32_t>> result;
  const JobRecord* record = FindJob(state_, job);
  if (record == nullptr) return result;
  for (const auto& info : record->job().attempts()) {
    if (info.number() != attempt) continue;
    for (const auto& rank : info.ranks()) result[rank.worker()].push_back(rank.rank());
  }
  return result;
}

absl::Status Runner::RankReport(const std::vector<std::string>& words) {
  const std::string& verb = words[0];
  const std::vector<std::string> key = absl::StrSplit(words.at(1), '#');
  if (key.size() != 2) return absl::InvalidArgumentError(absl::StrCat(words[1], ": not JOB#ATTEMPT"));
  const AttemptKey attempt = {key[0], Number(key[1])};
  const auto ranks = RanksOf(attempt.first, attempt.second);
  Report report;
  report.set_job_id(attempt.first);
  report.set_attempt(attempt.second);
  if (verb == "prepared") {
    report.mutable_prepared();
    for (size_t i = 2; i < words.size(); ++i) Send(words[i], report);
  } else if (verb == "refused") {
    report.mutable_refused()->set_reason(words.at(3));
    Send(words[2], report);
  } else if (verb == "started") {
    for (const auto& [worker, numbers] : ranks) {
      if (words.size() > 2 && std::find(words.begin() + 2, words.end(), worker) == words.end()) continue;
      agents_.at(worker).running[attempt].insert(numbers.begin(), numbers.end());
      for (const uint32_t rank : numbers) {
        report.mutable_rank_started()->set_rank(rank);
        Send(worker, report);
      }
    }
  } else if (verb == "stopped") {
    const std::set<uint32_t> running = std::exchange(agents_.at(words.at(2)).running[attempt], {});
    agents_.at(words[2]).running.erase(attempt);
    report.mutable_rank_exited()->set_cause(muster::internal::v1::EXIT_CAUSE_STOPPED);
    for (const uint32_t rank : running) {
      report.mutable_rank_exited()->set_rank(rank);
      Send(words[2], report);
    }
  } else if (verb == "exit") {
    static const std::map<std::string, muster::internal::v1::ExitCause> kCauses = {
        {"success", muster::internal::v1::EXIT_CAUSE_SUCCESS},
        {"error", muster::internal::v1::EXIT_CAUSE_ERROR},
        {"signal", muster::internal::v1::EXIT_CAUSE_SIGNAL},
        {"collective", muster::internal::v1::EXIT_CAUSE_COLLECTIVE},
        {"permanent", muster::internal::v1::EXIT_CAUSE_PERMANENT},
        {"stopped", muster::internal::v1::EXIT_CAUSE_STOPPED}};
    const uint32_t rank = Number(words.at(2));
    report.mutable_rank_exited()->set_rank(rank);
    report.mutable_rank_exited()->set_cause(kCauses.at(words.at(3)));
    if (words[3] == "signal") report.mutable_rank_exited()->set_signal(9);
    if (words.size() > 4) report.mutable_rank_exited()->set_message(words[4]);
    for (const auto& [worker, numbers] : ranks) {
      if (std::find(numbers.begin(), numbers.end(), rank) == numbers.end()) continue;
      auto& running = agents_.at(worker).running[attempt];
      running.erase(rank);
      if (running.empty()) agents_.at(worker).running.erase(attempt);
      Send(worker, report);
    }
  } else if (verb == "checkpoint") {
    report.mutable_checkpoint()->mutable_checkpoint()->set_step(Number(words.at(2)));
    report.mutable_checkpoint()->mutable_checkpoint()->set_manifest(
        absl::StrCat("c", words[2], Option(words, "copy", "")));  // another attempt's bytes of the same step
    Send(words.at(3), report);
  } else if (verb == "damaged") {  // damaged a#2 40 w1 "why"
    report.mutable_checkpoint_refused()->set_step(Number(words.at(2)));
    report.mutable_checkpoint_refused()->set_manifest(absl::StrCat("c", words[2]));
    report.mutable_checkpoint_refused()->set_reason(words.at(4));
    Send(words.at(3), report);
  } else if (verb == "evaluated") {
    report.mutable_evaluation()->set_label("untrained");
    (*report.mutable_evaluation()->mutable_metrics())["ndcg@10"] = 0.5;
    (*report.mutable_evaluation()->mutable_metrics())["mrr"] = 0.25;
    Send(words.at(2), report);
  } else if (verb == "exported") {
    report.mutable_exported()->set_manifest("export");
    if (words.back() == "early") {
      muster::internal::v1::StoppedEarly& early = *report.mutable_exported()->mutable_stopped_early();
      early.set_step(40);
      early.set_patience(3);
      early.set_metric("ndcg@10");
      early.set_best_step(10);
      early.set_best(0.63124);
    }
    Send(words.at(2), report);
  } else if (verb == "at") {  // at a#1 RANK STEP PHASE COLLECTIVES [in] [silent=S] [waits=SERVER]
    muster::internal::v1::RankActivity activity;
    activity.set_rank(Number(words.at(2)));
    activity.set_step(Number(words.at(3)));
    activity.set_phase(words.at(4));
    activity.set_collectives(Number(words.at(5)));
    activity.set_in_collective(std::find(words.begin(), words.end(), "in") != words.end());
    activity.set_silent_seconds(Number(Option(words, "silent", "0")));
    activity.set_unreachable(Option(words, "waits", ""));
    for (const auto& [worker, numbers] : ranks) {
      if (std::find(numbers.begin(), numbers.end(), activity.rank()) == numbers.end()) continue;
      Agent& agent = agents_.at(worker);
      agent.running[attempt].insert(activity.rank());
      agent.activities[attempt][activity.rank()] = activity;
      if (!agent.silent) Give(HeartbeatOf(worker, agent));
    }
  } else if (verb == "step") {
    AgentProgress progress;
    progress.worker = ranks.empty() ? agents_.begin()->first : ranks.begin()->first;
    progress.session = agents_.at(progress.worker).session;
    progress.progress.set_job_id(attempt.first);
    progress.progress.set_attempt(attempt.second);
    progress.progress.mutable_progress()->set_step(Number(words.at(2)));
    progress.progress.mutable_progress()->set_activity("training");
    if (const std::string eta = Option(words, "eta", ""); !eta.empty()) {
      progress.progress.mutable_progress()->set_total_steps(60);
      progress.progress.mutable_progress()->set_eta_seconds(Number(eta));
    }
    progress.progress.mutable_progress()->set_train_seconds(Number(Option(words, "spent", "0")));
    Give(progress);
  } else {
    return absl::InvalidArgumentError(absl::StrCat("unknown command: ", verb));
  }
  return absl::OkStatus();
}

absl::Status Runner::Act(const std::vector<std::string>& words) {
  const std::string& verb = words[0];
  if (verb == "worker") {
    Agent& agent = agents_[words.at(1)];
    const std::string gpus = Option(words, "gpus", "");
    agent.hello.set_worker(words[1]);
    agent.hello.set_device(gpus.empty() ? "cpu" : "gpu");
    agent.hello.set_slots(Number(gpus.empty() ? Option(words, "slots", "1") : gpus));
    agent.hello.set_protocol(kProtocol);
    Hello(agent);
  } else if (verb == "submit") {
    SubmitJob submit;
    submit.job_id = words.at(1);
    submit.owner = "ada";
    submit.request_id = Option(words, "request", "");
    submit.spec.set_name(words[1]);
    submit.spec.mutable_duration()->set_steps(60);
    submit.resolved.set_total_steps(60);
    submit.spec.mutable_checkpoint()->set_keep(Number(Option(words, "keep", "3")));
    auto& resources = *submit.spec.mutable_resources();
    const std::vector<std::string> slots = absl::StrSplit(Option(words, "slots", "1"), '-');
    resources.mutable_slots()->set_min(Number(slots[0]));
    resources.mutable_slots()->set_max(Number(slots.back()));
    resources.set_priority(static_cast<int32_t>(Number(Option(words, "priority", "0"))));
    resources.set_queue("default");
    const std::string device = Option(words, "device", "auto");
    resources.set_device(device == "gpu"   ? muster::v1::DEVICE_GPU
                         : device == "cpu" ? muster::v1::DEVICE_CPU
                                           : muster::v1::DEVICE_AUTO);
    Give(submit);
  } else if (verb == "cancel" || verb == "pause" || verb == "resume") {
    const Verb kind = verb == "cancel" ? Verb::kCancel : verb == "pause" ? Verb::kPause : Verb::kResume;
    Give(JobCommand{0, kind, words.at(1), "ada", Option(words, "request", "")});
  } else if (verb == "drain" || verb == "undrain") {
    Give(DrainWorker{0, words.at(1), verb == "undrain", "ada", Option(words, "request", ""), words.back() == "now"});
  } else if (verb == "draining") {  // its agent got SIGTERM
    Agent& agent = agents_.at(words.at(1));
    agent.draining = true;
    Give(HeartbeatOf(words[1], agent));
  } else if (verb == "data") {  // data lost, data back
    Give(DataServerSeen{"d:1", words.at(1) == "back"});
  } else if (verb == "gone") {
    agents_.at(words.at(1)).silent = true;
    Give(AgentGone{words[1], agents_.at(words[1]).session});
  } else if (verb == "silent") {
    agents_.at(words.at(1)).silent = true;
  } else if (verb == "heard") {
    agents_.at(words.at(1)).silent = false;
    Hello(agents_.at(words[1]));
  } else if (verb == "new-agent") {
    Agent& agent = agents_.at(words.at(1));
    agent.running.clear();
    agent.silent = agent.draining = false;
    agent.sequence = 0;
    ++agent.instance;
    Hello(agent);
  } else if (verb == "again") {
    Give(AgentReport{last_.first, agents_.at(last_.first).session, last_.second});
  } else if (verb == "advance") {
    absl::Duration time;
    if (!absl::ParseDuration(words.at(1), &time)) return absl::InvalidArgumentError("advance: not a duration");
    Advance(time);
  } else if (verb == "asleep") {
    absl::Duration time;
    if (!absl::ParseDuration(words.at(1), &time)) return absl::InvalidArgumentError("asleep: not a duration");
    const absl::Time from = now_;
    now_ += time;
    Give(Overslept{from});
    Give(Tick{});
  } else if (verb == "restart") {
    absl::Duration clock;
    if (!absl::ParseDuration(Option(words, "clock", "0"), &clock)) return absl::InvalidArgumentError("clock: not a duration");
    return Restart(clock);
  } else {
    return RankReport(words);
  }
  return absl::OkStatus();
}

absl::Status Runner::Line(absl::string_view line) {
  const size_t comment = line.find('#');
  if (absl::StartsWith(absl::StripAsciiWhitespace(line), "#") || comment == 0) return absl::OkStatus();
  const std::vector<std::string> sides = absl::StrSplit(line, absl::MaxSplits("->", 1));
  outcome_.clear();
  for (const absl::string_view command : absl::StrSplit(sides[0], ';')) {
    const std::vector<std::string> words = Words(command);
    if (!words.empty()) RETURN_IF_ERROR(Act(words));
  }
  std::vector<std::string> expected;
  if (sides.size() == 2) {
    for (const absl::string_view part : absl::StrSplit(sides[1], " ; ")) {
      expected.emplace_back(absl::StripAsciiWhitespace(part));
    }
  }
  if (outcome_ == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(absl::StripAsciiWhitespace(sides[0]), "\n  expected: ", absl::StrJoin(expected, " ; "),
                   "\n  came:     ", absl::StrJoin(outcome_, " ; ")));
}

}  // namespace

absl::Status RunScenario(const std::string& script) {
  Runner runner;
  int number = 0;
  std::string pending;
  for (const absl::string_view line : absl::StrSplit(script, '\n')) {
    ++number;
    absl::StrAppend(&pending, line);
    if (absl::EndsWith(pending, " \\")) {  // continues in the next line
      pending.resize(pending.size() - 1);
      continue;
    }
    RETURN_IF_ERROR(WithContext(runner.Line(pending), absl::StrCat("line ", number)));
    pending.clear();
  }
  return absl::OkStatus();
}

}  // namespace muster
