#include "coordinator/runtime/event_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/log.h"
#include "common/process/scheduling.h"
#include "common/status.h"
#include "coordinator/core/desired.h"
#include "coordinator/core/future_times.h"
#include "coordinator/core/step.h"

namespace muster {
namespace {

// How long one turn handles agents' events, or users' calls. Heartbeats wait at most this long.
constexpr absl::Duration kLongestTurn = absl::Milliseconds(25);
// The same for agents' events while users' calls wait: a burst of placements brings thousands of reports, which can wait for a
// second, and a user should not.
constexpr absl::Duration kReportsBesideCalls = absl::Milliseconds(3);
constexpr absl::Duration kLongestWait = absl::Milliseconds(50);  // how long heartbeats and progress may wait for a turn
constexpr absl::Duration kLongestPause = absl::Seconds(2);  // if a tick is later than this, the process was frozen

absl::Status ShuttingDown() {
  return WithRetryAfter(
      WithReason(absl::UnavailableError("the coordinator is shutting down. Running jobs continue; try again."), "SHUTTING_DOWN"),
      absl::Seconds(2));
}

}  // namespace

EventLoop::EventLoop(Options options)
    : options_(std::move(options)),
      wall_start_(options_.clock->Now()),
      monotonic_start_(options_.clock->Monotonic()) {}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Start(Options options) {
  std::unique_ptr<EventLoop> loop(new EventLoop(std::move(options)));
  Store::Options store = loop->options_.store;
  store.on_durable = [raw = loop.get()](uint64_t sequence) { raw->OnDurable(sequence); };
  store.on_flush_time = [metrics = loop->options_.metrics](absl::Duration time) { metrics->ObserveJournalWrite(time); };
  ASSIGN_OR_RETURN(loop->store_, Store::Open(std::move(store)));
  loop->thread_ = std::thread([raw = loop.get()] { raw->Run(); });
  return loop;
}

EventLoop::~EventLoop() { Stop(); }

// Wall time that never goes back and never jumps: deadlines survive a corrected clock.
absl::Time EventLoop::Now() const { return wall_start_ + (options_.clock->Monotonic() - monotonic_start_); }

absl::Status EventLoop::CheckRoom() const {
  ASSIGN_OR_RETURN(const uint64_t free, FreeBytes(options_.store.folder));
  if (free >= options_.min_free_bytes) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(absl::StrCat(
                        "the coordinator's disk has ", free >> 20, " MiB free, and takes no new work below ",
                        options_.min_free_bytes >> 20, " MiB. Free some space in its state folder.")),
                    "DISK_FULL");
}

absl::StatusOr<std::string> EventLoop::Call(Event event, const LookAtSubject& look) {
  Waiter waiter{.look = look};
  const auto done = [&waiter] { return waiter.done; };
  absl::MutexLock lock(&mutex_);
  if (stopping_ || refusing_) return ShuttingDown();
  if (queue_.size() >= options_.capacity) {
    return absl::ResourceExhaustedError("the coordinator's queue is full. Try again in a moment.");
  }
  const uint64_t token = ++last_token_;
  if (auto* submit = std::get_if<SubmitJob>(&event)) submit->token = token;
  if (auto* command = std::get_if<JobCommand>(&event)) command->token = token;
  if (auto* removal = std::get_if<DeleteJob>(&event)) removal->token = token;
  if (auto* drain = std::get_if<DrainWorker>(&event)) drain->token = token;
  waiters_[token] = &waiter;
  queue_.push_back(std::move(event));
  mutex_.Await(absl::Condition(&done));
  if (!waiter.status.ok()) return waiter.status;
  return waiter.subject;
}

absl::Status EventLoop::Query(const Look& look) {
  Waiter waiter;
  const auto done = [&waiter] { return waiter.done; };
  absl::MutexLock lock(&mutex_);
  if (stopping_) return ShuttingDown();
  const uint64_t token = ++last_token_;
  waiters_[token] = &waiter;
  queue_.push_back(Question{&look, token});
  mutex_.Await(absl::Condition(&done));
  return waiter.status;
}

void EventLoop::Post(Event event) {
  const auto room = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || queue_.size() < options_.capacity;
  };
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  if (auto* heartbeat = std::get_if<AgentHeartbeat>(&event)) {
    const uint64_t session = heartbeat->session;
    heartbeats_.insert_or_assign(session, std::move(event));
  } else if (auto* progress = std::get_if<AgentProgress>(&event)) {
    ProgressKey key = {progress->session, progress->progress.job_id(), progress->progress.attempt()};
    progress_.insert_or_assign(std::move(key), std::move(event));
  } else if (std::holds_alternative<AgentHello>(event) || std::holds_alternative<AgentGone>(event)) {
    agents_.emplace_back(std::move(event));
  } else if (auto* report = std::get_if<AgentReport>(&event)) {
    if (agents_.size() >= options_.capacity) {
      // Its agent keeps unacknowledged reports, and sends them again in its next session.
      spdlog::warn("too many reports wait: worker {} must connect again", report->worker);
      options_.sessions->Close(report->session);
      return;
    }
    agents_.emplace_back(std::move(event));
  } else {
    mutex_.Await(absl::Condition(&room));
    if (!stopping_) queue_.emplace_back(std::move(event));
  }
}

std::vector<GaugeSample> EventLoop::TakeGauges(absl::Duration wait) {
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !gauges_wanted_; };
  absl::MutexLock lock(&mutex_);
  if (stopping_) return {};
  gauges_wanted_ = true;
  mutex_.AwaitWithTimeout(absl::Condition(&ready), wait);
  return std::exchange(gauges_, {});
}

void EventLoop::FillGauges() {
  {
    absl::MutexLock lock(&mutex_);
    if (!gauges_wanted_) return;
  }
  std::vector<GaugeSample> gauges = GaugesOf(store_->state(), soft_, Now());
  absl::MutexLock lock(&mutex_);
  gauges_ = std::move(gauges);
  gauges_wanted_ = false;
}

void EventLoop::Finish(uint64_t token, absl::Status status, std::string subject) {
  absl::MutexLock lock(&mutex_);
  const auto found = waiters_.find(token);
  if (found == waiters_.end()) return;
  found->second->status = std::move(status);
  found->second->subject = std::move(subject);
  found->second->done = true;
  waiters_.erase(found);
}

void EventLoop::AnswerCalls() {
  for (Reply& reply : std::exchange(replies_, {})) {
    LookAtSubject look;
    if (reply.status.ok()) {
      absl::MutexLock lock(&mutex_);
      const auto found = waiters_.find(reply.token);
      if (found != waiters_.end()) look = std::move(found->second->look);
    }
    if (look) look(store_->state(), soft_, reply.subject);
    Later([this, r = std::move(reply)] { Finish(r.token, r.status, r.subject); });
  }
}

void EventLoop::OnDurable(uint64_t sequence) {
  absl::MutexLock lock(&mutex_);
  durable_ = std::max(durable_, sequence);
  news_ = true;
}

void EventLoop::RefuseChanges() {
  absl::MutexLock lock(&mutex_);
  refusing_ = true;
}

void EventLoop::Stop() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
  RunDelayed(store_->Flush());
  absl::MutexLock lock(&mutex_);
  for (auto& [token, waiter] : waiters_) {
    waiter->status = ShuttingDown();
    waiter->done = true;
  }
  waiters_.clear();
}

void EventLoop::Run() {
  WakeAtOnce();
  Begin();
  // Heartbeats and progress do not wake the loop: a thousand agents would do that all the time.
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || news_ || gauges_wanted_ || !queue_.empty() || !agents_.empty();
  };
  absl::Duration next_tick = options_.clock->Monotonic();
  while (true) {
    std::map<uint64_t, Event> heartbeats;
    std::map<ProgressKey, Event> progress;
    uint64_t durable = 0;
    size_t agents = 0, calls = 0;
    {
      absl::MutexLock lock(&mutex_);
      const bool woken = mutex_.AwaitWithTimeout(
          absl::Condition(&ready), std::min(kLongestWait, next_tick - options_.clock->Monotonic()));
      if (stopping_) return;
      if (!woken && heartbeats_.empty() && progress_.empty() && options_.clock->Monotonic() < next_tick) continue;
      news_ = false;
      durable = durable_;
      heartbeats.swap(heartbeats_);
      progress.swap(progress_);
      agents = agents_.size();
      calls = queue_.size();
    }
    const absl::Duration begin = options_.clock->Monotonic();
    RunDelayed(durable);
    for (const auto& [session, event] : heartbeats) Handle(event);
    for (const auto& [key, event] : progress) Handle(event);
    const bool all_reports = Work(agents_, agents, calls > 0 ? kReportsBesideCalls : kLongestTurn);
    const bool all_calls = Work(queue_, calls, kLongestTurn);
    drained_ = drained_ || (all_reports && all_calls);
    if (options_.clock->Monotonic() >= next_tick) {
      next_tick = options_.clock->Monotonic() + options_.tick;
      options_.on_turn();
      NoteDeafTime();
      Handle(Tick{});
    }
    if (replan_) Plan();
    AnswerCalls();
    FillGauges();
    store_->Settle();
    options_.metrics->ObserveTurn(options_.clock->Monotonic() - begin);
  }
}

bool EventLoop::Work(std::deque<Item>& lane, size_t count, absl::Duration longest) {
  const absl::Duration until = options_.clock->Monotonic() + longest;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0 && options_.clock->Monotonic() >= until) return false;
    std::optional<Item> item;
    {
      absl::MutexLock lock(&mutex_);
      if (lane.empty()) return true;
      item = std::move(lane.front());
      lane.pop_front();
    }
    HandleItem(*item);
  }
  return true;
}

bool EventLoop::IsDead(const Event& event) const {
  const auto* hello = std::get_if<AgentHello>(&event);
  return hello != nullptr && options_.sessions->Find(hello->session) == nullptr;
}

void EventLoop::HandleItem(const Item& item) {
  if (const auto* event = std::get_if<Event>(&item)) {
    if (!IsDead(*event)) Handle(*event);
    return;
  }
  const Question& question = std::get<Question>(item);
  (*question.look)(store_->state(), soft_, Now());
  Later([this, token = question.token] { Finish(token, absl::OkStatus(), ""); });
}

void EventLoop::Begin() {
  soft_.started = ticked_at_ = Now();
  soft_.no_progress = options_.no_progress;
  {
    absl::MutexLock lock(&mutex_);
    durable_ = store_->committed();
  }
  if (std::vector<Record> records = WithoutFutureTimes(store_->state(), soft_.started); !records.empty()) {
    spdlog::warn("{} jobs have times after now, which are treated as now: the clock was set back, or was ahead before",
                 records.size());
    store_->Commit(std::move(records));
  }
  const State& state = store_->state();
  for (const std::string& id : state.active) {
    const JobRecord& job = state.jobs.at(id);
    if (job.running().has_started()) options_.rendezvous->Open(id, job.running().number(), WorkersOf(store_->state(), id, job.running().number()));
  }
  for (const std::string& manifest : state.garbage) options_.collect(manifest);
  spdlog::info("epoch {}: {} jobs, {} of them active", state.epoch, state.jobs.size(), state.active.size());
}

void EventLoop::Plan() {
  replan_ = false;
  const absl::Duration begin = options_.clock->Monotonic();
  Handle(muster::Plan{});
  options_.metrics->ObservePlan(options_.clock->Monotonic() - begin);
}

void EventLoop::CountTransitions(const std::vector<Record>& records) {
  for (const Record& record : records) {
    if (!record.has_job()) continue;
    const journal::v1::StoredJob& job = record.job().job();
    const JobRecord* before = FindJob(store_->state(), job.id());
    if (before != nullptr && before->job().phase() == job.phase()) continue;
    options_.metrics->CountTransition(job.phase());
    LogFields about{.job = job.id()};
    if (record.job().last_attempt() > 0) about.attempt = record.job().last_attempt();
    const ScopedLogFields scope(about);
    spdlog::info("{} ({}) {}: {}", job.spec().name(), job.owner(), std::string(PhaseName(job.phase())), job.reason());
  }
}

void EventLoop::NoteDeafTime() {
  const absl::Time now = Now();
  uint64_t durable = 0;
  {
    absl::MutexLock lock(&mutex_);
    durable = durable_;
  }
  std::string why;
  if (now - ticked_at_ > options_.tick + kLongestPause) {
    why = "was frozen: its process or its machine was stopped";
  } else if (durable < durable_by_next_tick_) {
    why = "is waiting for its disk";
  } else if (!drained_) {
    why = "cannot keep up with its queue";
  }
  if (!why.empty()) {
    Handle(Overslept{ticked_at_});
    deaf_for_ += now - ticked_at_;
    if (why != deaf_why_) spdlog::warn("the coordinator {}; this time does not count towards any deadline", why);
  } else if (deaf_for_ > absl::ZeroDuration()) {
    spdlog::info("the coordinator keeps up again, after {} s", absl::ToInt64Seconds(deaf_for_));
    deaf_for_ = absl::ZeroDuration();
  }
  deaf_why_ = why;
  ticked_at_ = now;
  drained_ = false;
  durable_by_next_tick_ = store_->committed();
}

void EventLoop::Handle(const Event& event) {
  Decision decision = Step(store_->state(), soft_, event, Now());
  if (!decision.records.empty()) {
    CountTransitions(decision.records);
    store_->Commit(std::move(decision.records));
  }
  for (Effect& effect : decision.effects) Schedule(std::move(effect));
  replan_ = replan_ || decision.replan;
}

void EventLoop::Later(std::function<void()> act) {
  delayed_.push_back({store_->committed(), std::move(act)});
  uint64_t durable;
  {
    absl::MutexLock lock(&mutex_);
    durable = durable_;
  }
  RunDelayed(durable);
}

void EventLoop::RunDelayed(uint64_t durable) {
  while (!delayed_.empty() && delayed_.front().after <= durable) {
    const std::function<void()> act = std::move(delayed_.front().act);
    delayed_.pop_front();
    act();
  }
}

}  // namespace muster
