#include "tests/bench/scale/core_cost.h"

#include <malloc.h>
#include <time.h>

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/spec/job_spec.h"
#include "common/version.h"
#include "coordinator/core/desired.h"
#include "coordinator/core/step.h"
#include "coordinator/core/job_list.h"
#include "coordinator/core/retention.h"
#include "coordinator/core/view.h"
#include "tests/bench/scale/job_mix.h"

namespace muster::bench {
namespace {

constexpr uint32_t kEventsPerTick = 20;  // a tick is measured after a whole second of events, so fewer times than those

// Processor time of this thread, which other processes do not disturb much.
absl::Duration ThreadTime() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

class Core {
 public:
  Core(uint32_t workers, uint32_t jobs) {
    soft_.started = now_;
    for (uint32_t i = 0; i < workers; ++i) Give(Hello(i));
    for (uint32_t i = 0; i < jobs; ++i) Submit();
    Plan();
    StartAll();
    for (uint32_t i = 0; i < workers; ++i) Give(Heartbeat(i));
    Settle();
  }

  uint32_t running() const { return static_cast<uint32_t>(state_.index.running.size()); }
  const State& state() const { return state_; }

  void Submit() {
    SubmitJob submit;
    submit.job_id = absl::StrCat("j", submitted_);
    submit.owner = absl::StrCat("user", submitted_ % 50);
    submit.request_id = absl::StrCat("request-", submitted_);
    submit.spec = JobOfTheMix(submitted_++);
    FillDefaults(submit.spec);
    submit.resolved = ResolvedOfTheMix();
    submit.max_active_jobs = 1'000'000;
    Give(submit);
  }

  AgentHello Hello(uint32_t worker) {
    AgentHello event;
    event.session = ++session_;
    event.hello.set_worker(Name(worker));
    event.hello.set_device("cpu");
    event.hello.set_slots(8);
    event.hello.set_instance("one");
    event.hello.set_protocol(kProtocol);
    AddObserved(event.hello);
    return event;
  }
  AgentHeartbeat Heartbeat(uint32_t worker) {
    AgentHeartbeat event{Name(worker), soft_.workers.at(Name(worker)).session, {}};
    AddObserved(event.heartbeat, Name(worker));
    return event;
  }
  AgentProgress Progress(uint32_t worker) {
    AgentProgress event{Name(worker), soft_.workers.at(Name(worker)).session, {}};
    const auto desired = DesiredStateOf(state_, event.worker);
    if (desired.assignments().empty()) return event;
    event.progress.set_job_id(desired.assignments(0).job_id());
    event.progress.set_attempt(desired.assignments(0).attempt());
    event.progress.mutable_progress()->set_step(++step_);
    event.progress.mutable_progress()->set_activity("training");
    return event;
  }
  // A checkpoint of the first job on the worker.
  AgentReport Checkpoint(uint32_t worker) {
    const AgentProgress like = Progress(worker);
    AgentReport event{like.worker, like.session, {}};
    event.report.set_sequence(++sequence_);
    event.report.set_job_id(like.progress.job_id());
    event.report.set_attempt(like.progress.attempt());
    event.report.mutable_checkpoint()->mutable_checkpoint()->set_step(++step_);
    event.report.mutable_checkpoint()->mutable_checkpoint()->set_manifest(absl::StrCat("manifest", step_));
    return event;
  }
  std::string FirstJobOf(uint32_t worker) const {
    const auto desired = DesiredStateOf(state_, Name(worker));
    return desired.assignments().empty() ? "" : desired.assignments(0).job_id();
  }

  // A second in which every worker is heard and every running attempt takes a step.
  void LiveASecond() {
    now_ += absl::Seconds(1);
    for (uint32_t worker = 0; worker < soft_.workers.size(); ++worker) {
      Take(Heartbeat(worker));
      AgentProgress event = Progress(worker);
      const muster::internal::v1::DesiredState desired = DesiredStateOf(state_, event.worker);
      for (const auto& assignment : desired.assignments()) {
        event.progress.set_job_id(assignment.job_id());
        event.progress.set_attempt(assignment.attempt());
        Take(event);
      }
    }
  }

  // Mean times of `count` events, and of the plans that they request.
  EventCost Measure(const std::string& name, uint32_t count, const std::function<Event(uint32_t)>& make) {
    EventCost cost{.event = name};
    uint32_t plans = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const Event event = make(i);
      absl::Duration begin = ThreadTime();
      const bool replan = Take(event);
      cost.microseconds += absl::ToDoubleMicroseconds(ThreadTime() - begin) / count;
      if (!replan) continue;
      begin = ThreadTime();
      Take(muster::Plan{});
      cost.plan_microseconds += absl::ToDoubleMicroseconds(ThreadTime() - begin);
      ++plans;
    }
    if (plans > 0) cost.plan_microseconds /= plans;
    Settle();
    return cost;
  }
  EventCost MeasureLook(const std::string& name, uint32_t count, const std::function<void(const State&, const Soft&)>& look) {
    const absl::Duration begin = ThreadTime();
    for (uint32_t i = 0; i < count; ++i) {
      look(state_, soft_);
      state_.jobs.Settle();
    }
    return {name, absl::ToDoubleMicroseconds(ThreadTime() - begin) / count, 0};
  }
  void Settle() {
    Plan();
    StartAll();
  }

 private:
  static std::string Name(uint32_t worker) { return absl::StrCat("w", worker); }

  bool Take(const Event& event) {
    Decision decision = Step(state_, soft_, event, now_);
    for (const Record& record : decision.records) Apply(record, state_).IgnoreError();
    for (const Effect& effect : decision.effects) {
      if (const auto* push = std::get_if<PushDesired>(&effect)) told_.insert(push->worker);
    }
    state_.jobs.Settle();
    return decision.replan;
  }
  void Give(const Event& event) { replan_ = Take(event) || replan_; }
  void Plan() {
    replan_ = false;
    Take(muster::Plan{});
  }

  template <typename Message>
  void AddObserved(Message& message, const std::string& worker) {
    const muster::internal::v1::DesiredState desired = DesiredStateOf(state_, worker);
    for (const auto& assignment : desired.assignments()) {
      if (assignment.phase() != muster::internal::v1::ASSIGNMENT_PHASE_RUN) continue;
      auto& observed = *message.add_attempts();
      observed.set_job_id(assignment.job_id());
      observed.set_attempt(assignment.attempt());
      for (const auto& rank : assignment.ranks()) observed.add_running_ranks(rank.rank());
    }
  }
  void AddObserved(muster::internal::v1::Hello& hello) { AddObserved(hello, hello.worker()); }

  // Every worker that received effects prepares and starts what they ask for.
  void StartAll() {
    while (!told_.empty()) {
      const std::set<std::string> told = std::exchange(told_, {});
      for (const std::string& worker : told) {
        const muster::internal::v1::DesiredState desired = DesiredStateOf(state_, worker);
        for (const auto& assignment : desired.assignments()) {
          AgentReport event{worker, soft_.workers.at(worker).session, {}};
          event.report.set_job_id(assignment.job_id());
          event.report.set_attempt(assignment.attempt());
          if (assignment.phase() == muster::internal::v1::ASSIGNMENT_PHASE_PREPARE) {
            event.report.set_sequence(++sequence_);
            event.report.mutable_prepared();
            Give(event);
            continue;
          }
          for (const auto& rank : assignment.ranks()) {
            if (state().jobs.at(assignment.job_id()).running().ranks(static_cast<int>(rank.rank())).started()) continue;
            event.report.set_sequence(++sequence_);
            event.report.mutable_rank_started()->set_rank(rank.rank());
            Give(event);
          }
        }
      }
    }
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  State state_;
  Soft soft_;
  std::set<std::string> told_;
  uint64_t session_ = 0, sequence_ = 0, step_ = 0, submitted_ = 0;
  bool replan_ = false;
};

}  // namespace

CoreCosts MeasureCore(uint32_t workers, uint32_t jobs, uint32_t repeats) {
  CoreCosts costs{.workers = workers, .jobs = jobs};
  const uint32_t half = jobs / 2;
  Core core(workers, half);
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (uint32_t i = half; i < jobs; ++i) core.Submit();
  core.Settle();
  const size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  costs.bytes_per_waiting_job = static_cast<double>(after - before) / (jobs - half);
  costs.running = core.running();
  const auto any = [workers](uint32_t i) { return i * 7919 % workers; };
  costs.events.push_back(core.Measure("heartbeat", repeats, [&](uint32_t i) { return core.Heartbeat(any(i)); }));
  costs.events.push_back(core.Measure("progress", repeats, [&](uint32_t i) { return core.Progress(any(i)); }));
  costs.events.push_back(core.Measure("checkpoint", repeats, [&](uint32_t i) { return core.Checkpoint(any(i)); }));
  costs.events.push_back(core.Measure("hello", repeats, [&](uint32_t i) { return core.Hello(any(i)); }));
  const auto tick = [&](uint32_t) {
    core.LiveASecond();
    return Tick{};
  };
  core.Measure("the first ticks after hellos and starts", 2, tick);
  costs.events.push_back(core.Measure("tick", repeats / kEventsPerTick, tick));
  costs.events.push_back(core.Measure("cancel", repeats, [&](uint32_t i) {
    return JobCommand{1, Verb::kCancel, core.FirstJobOf(any(i)), "ada", absl::StrCat("cancel-", i)};
  }));
  costs.events.push_back(core.MeasureLook("list", repeats, [](const State& state, const Soft& soft) {
    muster::v1::ListJobsRequest request;
    request.set_active_only(true);
    ViewJobs(state, soft, request).IgnoreError();
  }));
  costs.events.push_back(core.MeasureLook("desired state", repeats, [](const State& state, const Soft&) {
    DesiredStateOf(state, "w0");
  }));
  costs.events.push_back(core.MeasureLook("part of the roots", repeats, [](const State& state, const Soft&) {
    Roots roots;
    AddRoots(state, "", 1000, roots);
  }));
  return costs;
}

}  // namespace muster::bench
