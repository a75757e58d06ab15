// Decisions of the coordinator reach agents whose sessions break and reconnect meanwhile. Runs the coordinator's event
// loop with its journal and its sessions, and an agent's real core.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <random>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/files.h"
#include "common/process/child_process.h"
#include "coordinator/runtime/event_loop.h"
#include "coordinator/service/testing/outbox_reader.h"
#include "test_paths.h"

namespace muster {
namespace {

using muster::internal::v1::AgentMessage;
using muster::internal::v1::CoordinatorMessage;

constexpr uint32_t kSlots = 8;
constexpr int kRounds = 125;                             // kSlots cancels in each: 1,000 tries
constexpr absl::Duration kStopWithin = absl::Seconds(10);
constexpr absl::Duration kPatience = absl::Seconds(60);  // together with fields that the law does not cover

absl::Duration Now() { return RealClock().Monotonic(); }

// The real clock plus an offset that the test sets, which also grows with every reading.
class JumpingClock final : public Clock {
 public:
  absl::Time Now() const override { return RealClock().Now() + ahead(); }
  absl::Duration Monotonic() const override {
    ahead_ += per_look_;
    return RealClock().Monotonic() + ahead();
  }
  void Jump(absl::Duration by) { ahead_ += absl::ToInt64Nanoseconds(by); }
  void JumpAtEveryLook(absl::Duration by) { per_look_ = absl::ToInt64Nanoseconds(by); }
  absl::Duration ahead() const { return absl::Nanoseconds(ahead_.load()); }

 private:
  mutable std::atomic<int64_t> ahead_ = 0;  // nanoseconds
  std::atomic<int64_t> per_look_ = 0;
};

// The coordinator without its gRPC services.
class Coordinator {
 public:
  explicit Coordinator(const Clock& clock = RealClock()) : folder_(*MakeScratchFolder(testing::TempDir(), "delivery")), metrics_("1.0.0", "") {
    EventLoop::Options options;
    options.store.folder = folder_;
    options.sessions = &sessions;
    options.rendezvous = &rendezvous_;
    options.feed = &feed_;
    options.metrics = &metrics_;
    options.collect = [](const std::string&) {};
    options.sign = [](muster::internal::v1::DesiredState&, const std::string&) {};
    options.min_free_bytes = 0;
    options.tick = absl::Milliseconds(20);
    options.clock = &clock;
    options.on_turn = [this] { ++ticks_; };
    auto started = EventLoop::Start(std::move(options));
    EXPECT_TRUE(started.ok()) << started.status();
    loop = *std::move(started);
  }
  ~Coordinator() {
    sessions.CloseAll();
    loop->Stop();
    loop.reset();
    std::filesystem::remove_all(folder_);
  }

  void Submit(const std::string& id) {
    SubmitJob submit;
    submit.job_id = id;
    submit.owner = "ada";
    submit.spec.set_name(id);
    submit.spec.mutable_duration()->set_steps(60);
    submit.spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    submit.spec.mutable_resources()->mutable_slots()->set_min(1);
    submit.spec.mutable_resources()->mutable_slots()->set_max(1);
    const auto reply = loop->Call(std::move(submit));
    EXPECT_TRUE(reply.ok()) << reply.status();
  }
  void Cancel(const std::string& id) {
    const auto reply = loop->Call(JobCommand{0, Verb::kCancel, id, "ada", ""});
    EXPECT_TRUE(reply.ok()) << reply.status();
  }

  muster::v1::JobPhase PhaseOf(const std::string& id) {
    muster::v1::JobPhase phase = muster::v1::JOB_PHASE_UNSPECIFIED;
    const absl::Status looked = loop->Query([&](const State& state, const Soft&, absl::Time) {
      if (const JobRecord* job = FindJob(state, id); job != nullptr) phase = job->job().phase();
    });
    EXPECT_TRUE(looked.ok()) << looked;
    return phase;
  }
  // Waits until deadlines were checked `count` more times.
  bool WaitForTicks(int count) {
    const int until = ticks_ + count;
    for (const absl::Duration deadline = Now() + kPatience; ticks_ < until; std::this_thread::yield()) {
      if (Now() > deadline) return false;
    }
    return true;
  }

  Sessions sessions;
  std::unique_ptr<EventLoop> loop;

 private:
  std::atomic<int> ticks_ = 0;
  std::filesystem::path folder_;
  RendezvousStore rendezvous_;
  WatchFeed feed_;
  CoordinatorMetrics metrics_;
};

AgentHello HelloOf(uint64_t session) {
  AgentHello event;
  event.session = session;
  event.hello.set_worker("w1");
  event.hello.set_instance("one");
  event.hello.set_device("cpu");
  event.hello.set_slots(kSlots);
  return event;
}

// The interleaving in which stops were lost: a cancel between the start of the stream and the handling of its hello.
TEST(DeliveryLaw, AStopReachesASessionWhoseHelloIsOnItsWay) {
  Coordinator coordinator;
  const auto [first, first_outbox] = coordinator.sessions.Open();
  coordinator.loop->Post(HelloOf(first));
  coordinator.Submit("a");
  CoordinatorMessage message;
  OutboxReader first_reader(first_outbox);
  do {
    ASSERT_TRUE(first_reader.Next(message));
  } while (message.desired().assignments_size() == 0);

  const auto [second, second_outbox] = coordinator.sessions.Open();
  coordinator.Cancel("a");
  coordinator.loop->Post(HelloOf(second));
  AgentReport marker{"w1", second, {}};
  marker.report.set_sequence(1);
  coordinator.loop->Post(std::move(marker));
  OutboxReader second_reader(second_outbox);
  bool welcomed = false, told_to_stop = false;
  do {  // an agent drops what comes before the welcome
    ASSERT_TRUE(second_reader.Next(message));
    welcomed = welcomed || message.has_welcome();
    told_to_stop = told_to_stop || (welcomed && message.has_desired() && message.desired().assignments().empty());
  } while (!message.has_ack());
  EXPECT_TRUE(told_to_stop);
}

// A job that trains on w1, by session `session`.
void Train(Coordinator& coordinator, uint64_t session) {
  coordinator.loop->Post(HelloOf(session));
  coordinator.Submit("a");
  AgentReport report{"w1", session, {}};
  report.report.set_job_id("a");
  report.report.set_attempt(1);
  report.report.set_sequence(1);
  report.report.mutable_prepared();
  coordinator.loop->Post(report);
  report.report.set_sequence(2);
  report.report.mutable_rank_started();
  coordinator.loop->Post(report);
  ASSERT_EQ(coordinator.PhaseOf("a"), muster::v1::JOB_PHASE_TRAINING);
}

TEST(Standstill, OfTheCoordinatorEndsNothing) {
  JumpingClock clock;
  Coordinator coordinator(clock);
  Train(coordinator, coordinator.sessions.Open().first);
  for (const absl::Duration pause : {absl::Seconds(17), absl::Seconds(60), absl::Minutes(30)}) {
    clock.Jump(pause);
    ASSERT_TRUE(coordinator.WaitForTicks(2));
    EXPECT_EQ(coordinator.PhaseOf("a"), muster::v1::JOB_PHASE_TRAINING) << "after " << pause;
  }
}

TEST(Standstill, OfAWorkerIsStillNoticed) {
  JumpingClock clock;
  Coordinator coordinator(clock);
  Train(coordinator, coordinator.sessions.Open().first);
  for (int second = 0; second < 16; ++second) {  // seconds on the coordinator's clock
    clock.Jump(absl::Seconds(1));
    ASSERT_TRUE(coordinator.WaitForTicks(1));
  }
  EXPECT_EQ(coordinator.PhaseOf("a"), muster::v1::JOB_PHASE_RECOVERING);
}

TEST(Standstill, ABacklogDoesNotMakeItsSendersSilent) {
  JumpingClock clock;
  Coordinator coordinator(clock);
  Train(coordinator, coordinator.sessions.Open().first);
  const AgentReport unknown{"w1", 0, {}};  // of no session: handled without effect
  absl::Notification held, queued;
  std::thread holdup([&] {
    const absl::Status looked = coordinator.loop->Query([&](const State&, const Soft&, absl::Time) {
      held.Notify();
      queued.WaitForNotification();
    });
    EXPECT_TRUE(looked.ok()) << looked;
  });
  held.WaitForNotification();
  for (int i = 0; i < 9000; ++i) coordinator.loop->Post(unknown);
  clock.JumpAtEveryLook(absl::Milliseconds(5));  // once per report at least: all of them take more than 45 s
  queued.Notify();
  holdup.join();
  while (clock.ahead() < absl::Seconds(40)) {  // so some still wait
    ASSERT_EQ(coordinator.PhaseOf("a"), muster::v1::JOB_PHASE_TRAINING) << "after " << clock.ahead();
  }
  clock.JumpAtEveryLook(absl::ZeroDuration());
  ASSERT_TRUE(coordinator.WaitForTicks(1));
  EXPECT_EQ(coordinator.PhaseOf("a"), muster::v1::JOB_PHASE_TRAINING);
}

// An agent in a separate process, and the streams between it and the coordinator, which the test can break.
class Agent {
 public:
  Agent(Coordinator& coordinator, uint64_t seed) : coordinator_(coordinator), random_(seed) {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const OwnedFd theirs(pair[1]);
    auto process = ChildProcess::Start({.argv = {MUSTER_BINARY_DIR "/muster-obedient-agent"},
                                        .fds = {{0, theirs.get()}, {1, theirs.get()}}});
    EXPECT_TRUE(process.ok()) << process.status();
    process_.emplace(*std::move(process));
    stream_ = fdopen(pair[0], "r+");
    Do("tick");
  }
  ~Agent() {
    Break();
    for (std::thread& reader : readers_) reader.join();
    fclose(stream_);
  }

  // Lets messages, ends of streams and timers happen until `ready`, or for `time`.
  template <typename Ready>
  bool RunUntil(absl::Duration time, Ready ready) {
    const absl::Duration deadline = Now() + time;
    while (!ready()) {
      if (Now() >= deadline) return false;
      if (next_tick_ <= AgentTime()) Do("tick");
      for (const Arrival& arrival : Arrived()) Take(arrival);
    }
    return true;
  }
  // The stream breaks. The coordinator notices now, or only when a new stream is already open.
  void Break() {
    coordinator_.sessions.Close(session_);
    gone_later_ = std::uniform_int_distribution<int>(0, 1)(random_) == 1;
    if (!gone_later_) coordinator_.loop->Post(AgentGone{"w1", session_});
  }
  int running() const { return running_; }
  bool welcomed() const { return welcomed_; }

 private:
  struct Arrival {
    uint64_t session;
    std::optional<CoordinatorMessage> message;  // absent: the stream ended
  };

  absl::Duration AgentTime() const { return Now() + ahead_; }

  void Do(const std::string& verb, const std::string& hex = "") {
    std::fprintf(stream_, "%s %lld %s\n", verb.c_str(), static_cast<long long>(absl::ToInt64Nanoseconds(AgentTime())), hex.c_str());
    std::fflush(stream_);
    for (bool done = false; !done;) {
      char* line = nullptr;
      size_t size = 0;
      ASSERT_GT(getline(&line, &size, stream_), 0);
      std::istringstream words(line);
      free(line);
      std::string action, bytes;
      words >> action;
      done = action == "done";
      if (done) {
        int64_t next = 0;
        words >> next >> running_;
        next_tick_ = next == INT64_MAX ? absl::InfiniteDuration() : absl::Nanoseconds(next);
      } else {
        words >> bytes;
        actions_.emplace_back(action, std::string(absl::HexStringToBytes(bytes)));
      }
    }
    for (; !actions_.empty(); actions_.pop_front()) Act(actions_.front().first, actions_.front().second);
  }
  void Act(const std::string& action, const std::string& bytes) {
    if (action == "open") {
      Open(bytes);
    } else if (action == "close") {
      Break();
    } else {
      AgentMessage message;
      ASSERT_TRUE(message.ParseFromString(bytes));
      // The same as WorkerServiceImpl does.
      if (message.has_heartbeat()) coordinator_.loop->Post(AgentHeartbeat{"w1", session_, message.heartbeat()});
      if (message.has_report()) coordinator_.loop->Post(AgentReport{"w1", session_, message.report()});
    }
  }
  void Open(const std::string& hello) {
    const uint64_t before = session_;
    AgentHello event;
    ASSERT_TRUE(event.hello.ParseFromString(hello));
    const auto [session, outbox] = coordinator_.sessions.Open();
    Dawdle();  // the stream is open, its hello is on its way
    session_ = event.session = session;
    coordinator_.loop->Post(std::move(event));
    if (gone_later_) {
      Dawdle();
      coordinator_.loop->Post(AgentGone{"w1", before});
      gone_later_ = false;
    }
    readers_.emplace_back([this, session = session, outbox = outbox] {
      OutboxReader reader(outbox);
      for (CoordinatorMessage message; reader.Next(message);) Arrive({session, message});
      Arrive({session, std::nullopt});
    });
  }
  // A random delay up to 2 ms, like a server's threads on a busy host.
  void Dawdle() {
    const absl::Duration until = Now() + absl::Microseconds(std::uniform_int_distribution<int>(0, 2000)(random_));
    while (Now() < until) std::this_thread::yield();
  }

  void Arrive(Arrival arrival) {
    absl::MutexLock lock(&mutex_);
    arrivals_.push_back(std::move(arrival));
  }
  std::deque<Arrival> Arrived() {
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !arrivals_.empty(); };
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&any), absl::Milliseconds(20));
    return std::exchange(arrivals_, {});
  }
  void Take(const Arrival& arrival) {
    if (arrival.session != session_) return;
    if (arrival.message.has_value()) {
      if (arrival.message->has_welcome()) welcomed_ = true;
      return Do("message", std::string(absl::BytesToHexString(arrival.message->SerializeAsString())));
    }
    welcomed_ = false;
    Do("ended");
    ahead_ += std::max(absl::ZeroDuration(), next_tick_ - AgentTime());  // without waiting for its backoff
  }

  Coordinator& coordinator_;
  std::mt19937_64 random_;
  std::optional<ChildProcess> process_;
  FILE* stream_ = nullptr;
  std::deque<std::pair<std::string, std::string>> actions_;
  absl::Duration next_tick_, ahead_;
  int running_ = 0;
  uint64_t session_ = 0;
  bool welcomed_ = false, gone_later_ = false;
  std::vector<std::thread> readers_;
  absl::Mutex mutex_;
  std::deque<Arrival> arrivals_ ABSL_GUARDED_BY(mutex_);
};

TEST(DeliveryLaw, ACancelThatMeetsAReconnectingAgentStopsItsRanks) {
  const uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Coordinator coordinator;
  Agent agent(coordinator, seed);
  std::mt19937_64 random(seed + 1);
  int lost = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::string> jobs;
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      jobs.push_back(absl::StrCat("j", round, "x", slot));
      coordinator.Submit(jobs.back());
    }
    ASSERT_TRUE(agent.RunUntil(kPatience, [&] { return agent.running() == static_cast<int>(kSlots); })) << "round " << round;
    std::vector<int> delays(kSlots);
    for (int& delay : delays) delay = std::uniform_int_distribution<int>(0, 600)(random);
    std::atomic<bool> canceled = false;
    std::thread user([&] {
      for (uint32_t i = 0; i < kSlots; ++i) {
        const absl::Duration until = Now() + absl::Microseconds(delays[i]);
        while (Now() < until) std::this_thread::yield();
        coordinator.Cancel(jobs[i]);
      }
      canceled = true;
    });
    const int breaks = std::uniform_int_distribution<int>(1, 3)(random);
    for (int i = 0; i < breaks; ++i) {
      agent.Break();
      agent.RunUntil(absl::Milliseconds(std::uniform_int_distribution<int>(0, 4)(random)), [] { return false; });
    }
    agent.RunUntil(kPatience, [&] { return canceled.load(); });
    user.join();
    if (agent.RunUntil(kStopWithin, [&] { return agent.running() == 0; })) continue;
    lost += agent.running();
    agent.Break();  // the desired state follows the next hello in any case
    ASSERT_TRUE(agent.RunUntil(kPatience, [&] { return agent.running() == 0; })) << "round " << round;
  }
  EXPECT_EQ(lost, 0) << "of " << kRounds * kSlots << " ranks ran on for " << kStopWithin << "; seed " << seed;
}

}  // namespace
}  // namespace muster
