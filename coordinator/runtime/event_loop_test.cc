// The lanes of the event loop. A test holds the loop inside a question, posts what arrives meanwhile, and releases it.
#include "coordinator/runtime/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/files.h"
#include "common/version.h"

namespace muster {
namespace {

constexpr absl::Duration kSoon = absl::Seconds(30);  // deadline for things that must happen; reached only after a fault

class HandClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1000000) + Monotonic(); }
  absl::Duration Monotonic() const override { return absl::Milliseconds(milliseconds_.load()); }
  void Advance(int64_t milliseconds) { milliseconds_ += milliseconds; }

 private:
  std::atomic<int64_t> milliseconds_ = 0;
};

class EventLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "event-loop");
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *folder;
    metrics_ = std::make_unique<CoordinatorMetrics>("1.0.0", folder_);
    history_ = std::make_unique<MetricsHistory>(folder_ / "logs");
  }
  void TearDown() override {
    for (std::thread& thread : threads_) thread.join();
    loop_.reset();
    history_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Start(size_t capacity = 1000) {
    EventLoop::Options options;
    options.store.folder = folder_;
    options.sessions = &sessions_;
    options.rendezvous = &rendezvous_;
    options.feed = &feed_;
    options.metrics = metrics_.get();
    options.history = history_.get();
    options.collect = [](const std::string&) {};
    options.sign = [](muster::internal::v1::DesiredState&, const std::string&) {};
    options.clock = &clock_;
    options.capacity = capacity;
    auto loop = EventLoop::Start(std::move(options));
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
  }

  // Runs a question in a separate thread.
  void Ask(Backend::Look look) {
    threads_.emplace_back([this, look = std::move(look)] { EXPECT_TRUE(loop_->Query(look).ok()); });
  }
  // The loop is inside a question from here until `go`.
  void Hold(absl::Notification& go) {
    absl::Notification held;
    Ask([&](const State&, const Soft&, absl::Time) {
      held.Notify();
      EXPECT_TRUE(go.WaitForNotificationWithTimeout(kSoon));
    });
    ASSERT_TRUE(held.WaitForNotificationWithTimeout(kSoon));
  }
  void Look(const Backend::Look& look) { ASSERT_TRUE(loop_->Query(look).ok()); }

  AgentHello Hello(const std::string& worker, uint64_t session) {
    AgentHello event;
    event.session = session;
    event.hello.set_worker(worker);
    event.hello.set_device("cpu");
    event.hello.set_slots(1);
    event.hello.set_instance("one");
    event.hello.set_protocol(kProtocol);
    return event;
  }
  AgentReport Report(uint64_t sequence) {
    AgentReport event{"w1", session_, {}};
    event.report.set_sequence(sequence);
    event.report.set_job_id("a");
    event.report.set_attempt(1);
    return event;
  }
  AgentProgress Progress(uint64_t step) {
    AgentProgress event{"w1", session_, {}};
    event.progress.set_job_id("a");
    event.progress.set_attempt(1);
    event.progress.mutable_progress()->set_step(step);
    return event;
  }
  // Worker w1 with one slot, and job a that is placed there.
  void PlaceJob() {
    session_ = sessions_.Open().first;
    loop_->Post(Hello("w1", session_));
    SubmitJob submit;
    submit.job_id = "a";
    submit.owner = "ada";
    submit.spec.mutable_duration()->set_steps(60);
    submit.spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    submit.spec.mutable_resources()->mutable_slots()->set_min(1);
    submit.spec.mutable_resources()->mutable_slots()->set_max(1);
    ASSERT_TRUE(loop_->Call(submit).ok());
    ASSERT_EQ(JobA().job().phase(), muster::v1::JOB_PHASE_RESERVING) << JobA().DebugString();
  }
  void StartJob() {
    AgentReport prepared = Report(1), started = Report(2);
    prepared.report.mutable_prepared();
    started.report.mutable_rank_started();
    loop_->Post(prepared);
    loop_->Post(started);
    ASSERT_EQ(JobA().job().phase(), muster::v1::JOB_PHASE_TRAINING);
  }
  // Returns after the plan that follows the last event: a question in the next turn sees it.
  JobRecord JobA() {
    JobRecord job;
    for (int turn = 0; turn < 2; ++turn) {
      Look([&](const State& state, const Soft&, absl::Time) { job = state.jobs.at("a"); });
    }
    return job;
  }

  std::filesystem::path folder_;
  HandClock clock_;
  Sessions sessions_;
  RendezvousStore rendezvous_;
  WatchFeed feed_;
  std::unique_ptr<CoordinatorMetrics> metrics_;
  std::unique_ptr<MetricsHistory> history_;
  std::unique_ptr<EventLoop> loop_;
  std::vector<std::thread> threads_;
  uint64_t session_ = 0;  // of w1
};

TEST_F(EventLoopTest, AHeartbeatReplacesTheOneThatWaits) {
  Start();
  PlaceJob();
  absl::Notification go;
  Hold(go);
  AgentHeartbeat draining{"w1", session_, {}}, newest{"w1", session_, {}};
  draining.heartbeat.set_draining(true);  // without a newer heartbeat this would take the job off the worker
  loop_->Post(draining);
  loop_->Post(newest);
  go.Notify();
  EXPECT_EQ(JobA().last_attempt(), 1u);
  EXPECT_EQ(JobA().job().phase(), muster::v1::JOB_PHASE_RESERVING);
  loop_->Post(draining);
  EXPECT_EQ(JobA().job().phase(), muster::v1::JOB_PHASE_QUEUED) << "this is what the first one would have done";
}

TEST_F(EventLoopTest, ProgressReplacesTheProgressThatWaits) {
  Start();
  PlaceJob();
  StartJob();
  absl::Notification go;
  Hold(go);
  for (uint64_t step = 1; step <= 5; ++step) loop_->Post(Progress(step));
  go.Notify();
  JobA();
  ASSERT_TRUE(history_->WaitUntilWritten(kSoon));
  MetricsHistory::Cursor cursor;
  const auto points = history_->Read("a", 100, cursor);
  ASSERT_TRUE(points.ok()) << points.status();
  ASSERT_EQ(points->size(), 1u) << "every progress that the core sees is a point";
  EXPECT_EQ(points->front().step(), 5u);
}

TEST_F(EventLoopTest, SeesTheLastProgressBeforeTheEnd) {
  Start();
  PlaceJob();
  StartJob();
  absl::Notification go;
  Hold(go);
  loop_->Post(Progress(7));
  AgentReport exited = Report(3);
  exited.report.mutable_rank_exited()->set_cause(muster::internal::v1::EXIT_CAUSE_ERROR);
  loop_->Post(exited);
  go.Notify();
  const JobRecord job = JobA();
  EXPECT_EQ(job.job().attempts(0).last_step(), 7u);
  EXPECT_EQ(job.job().progress().step(), 7u);
}

TEST_F(EventLoopTest, NoEventOfAnAgentWaitsWhereTheQueueIsFull) {
  Start(/*capacity=*/2);
  PlaceJob();
  absl::Notification go, posted;
  Hold(go);
  for (int i = 0; i < 2; ++i) loop_->Post(BlobsCollected{"m"});
  threads_.emplace_back([&] {
    const uint64_t other = sessions_.Open().first;
    for (int i = 0; i < 5; ++i) {
      loop_->Post(AgentHeartbeat{"w1", session_, {}});
      loop_->Post(Progress(1));
      loop_->Post(Hello("w2", other));
      loop_->Post(AgentGone{"w3", 99});
    }
    posted.Notify();
  });
  EXPECT_TRUE(posted.WaitForNotificationWithTimeout(kSoon));
  const absl::StatusOr<std::string> refused = loop_->Call(JobCommand{0, Verb::kCancel, "a", "ada", ""});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted) << refused.status();
  go.Notify();
  Look([](const State&, const Soft& soft, absl::Time) { EXPECT_TRUE(soft.workers.contains("w2")); });
}

TEST_F(EventLoopTest, AReportThatFindsTooManyWaitingClosesItsSession) {
  Start(/*capacity=*/3);
  PlaceJob();
  absl::Notification go;
  Hold(go);
  AgentReport started = Report(1);
  started.report.mutable_prepared();
  for (int i = 0; i < 3; ++i) loop_->Post(started);
  EXPECT_NE(sessions_.Find(session_), nullptr);
  loop_->Post(started);
  EXPECT_EQ(sessions_.Find(session_), nullptr) << "its agent sends what was not acknowledged again";
  go.Notify();
  EXPECT_EQ(JobA().job().phase(), muster::v1::JOB_PHASE_STARTING) << "those that were taken count";
}

TEST_F(EventLoopTest, DropsTheHelloOfADeadSession) {
  Start();
  absl::Notification go;
  Hold(go);
  const uint64_t dead = sessions_.Open().first, alive = sessions_.Open().first;
  loop_->Post(Hello("dead", dead));
  loop_->Post(Hello("alive", alive));
  sessions_.Close(dead);
  go.Notify();
  Look([](const State& state, const Soft& soft, absl::Time) {
    EXPECT_FALSE(soft.workers.contains("dead"));
    EXPECT_FALSE(state.workers.contains("dead"));
    EXPECT_TRUE(soft.workers.contains("alive"));
  });
}

// Questions take 10 ms each, and a heartbeat comes during the first one: it does not wait for all of them.
TEST_F(EventLoopTest, AStormOfCallsDoesNotKeepHeartbeatsWaiting) {
  Start();
  PlaceJob();
  absl::Notification go;
  Hold(go);
  constexpr int kQuestions = 10;
  std::atomic<int> waiting = 0, asked = 0, before_heartbeat = 0;
  const auto look = [&](const State&, const Soft& soft, absl::Time) {
    clock_.Advance(10);
    if (++asked == 1) {
      AgentHeartbeat heartbeat{"w1", session_, {}};
      heartbeat.heartbeat.add_attempts()->set_job_id("b");
      heartbeat.heartbeat.mutable_attempts(0)->add_running_ranks(0);
      loop_->Post(heartbeat);
    }
    if (soft.workers.at("w1").observed.empty()) ++before_heartbeat;
  };
  for (int i = 0; i < kQuestions; ++i) {
    threads_.emplace_back([&] {
      ++waiting;
      EXPECT_TRUE(loop_->Query(look).ok());
    });
  }
  while (waiting < kQuestions) std::this_thread::yield();
  go.Notify();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  EXPECT_EQ(asked, kQuestions);
  EXPECT_LE(before_heartbeat, 3) << "questions of the turn in which the heartbeat came";
}

}  // namespace
}  // namespace muster
