// The real muster-worker against a scripted coordinator over mTLS, with scripted ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/process/child_process.h"
#include "common/rpc/certificates.h"
#include "common/rpc/health.h"
#include "test_paths.h"
#include "worker/agent/testing/scripted_coordinator.h"

namespace muster {
namespace {

using muster::internal::v1::AgentMessage;
using muster::internal::v1::Assignment;
using muster::internal::v1::Report;
using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(30);

class AgentTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeScratchFolder(testing::TempDir(), "agent");
    ASSERT_TRUE(MakeAuthority(folder_ / "authority").ok());
    ASSERT_TRUE(IssueCertificate(folder_ / "authority", {Role::kCoordinator, "coordinator"}, folder_ / "coordinator").ok());
    ASSERT_TRUE(IssueCertificate(folder_ / "authority", {Role::kWorker, "w1"}, folder_ / "worker").ok());
    coordinator_ = std::make_unique<ScriptedCoordinator>(SecurityOptions{.certificates = folder_ / "coordinator"});
    ASSERT_TRUE(coordinator_->Start().ok());
    StartWorker();
  }
  void TearDown() override {
    worker_.reset();
    coordinator_.reset();
    std::filesystem::remove_all(folder_);
  }

  void StartWorker() {
    std::vector<std::string> environment = {"FI_PROVIDER=efa", "CHOSEN=yes", "MUSTER_TOKEN=secret"};
    for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
    auto worker = ChildProcess::Start(
        {.argv = {MUSTER_BINARY_DIR "/muster-worker", "--coordinator", coordinator_->address(), "--name", "w1", "--slots", "2",
                  "--device", "cpu", "--state", State().string(), "--certs", (folder_ / "worker").string(), "--metrics",
                  "127.0.0.1:0", "--health", "127.0.0.1:0", "--port-file", (folder_ / "ports.json").string(), "--rank-binary",
                  MUSTER_BINARY_DIR "/muster-fake-rank", "--rank-env", "CHOSEN"},
         .environment = environment});
    ASSERT_TRUE(worker.ok()) << worker.status();
    worker_.emplace(*std::move(worker));
  }

  std::filesystem::path State() const { return folder_ / "state"; }

  // A separate thread writes and removes files.
  static bool Within(absl::Duration time, const std::function<bool()>& holds) {
    const absl::Duration deadline = RealClock().Monotonic() + time;
    while (!holds()) {
      if (RealClock().Monotonic() >= deadline) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }

  static Assignment Job(const std::string& id, const std::string& what, muster::internal::v1::AssignmentPhase phase,
                        uint32_t ranks = 1, uint32_t first_slot = 0) {
    Assignment assignment;
    assignment.set_job_id(id);
    assignment.set_attempt(1);
    assignment.set_phase(phase);
    assignment.set_world_size(ranks);
    assignment.mutable_spec()->set_name(what);
    for (uint32_t i = 0; i < ranks; ++i) {
      auto& placement = *assignment.add_ranks();
      placement.set_rank(i);
      placement.set_slot(first_slot + i);
      placement.set_worker("w1");
    }
    return assignment;
  }

  // Prepares and runs one job.
  void Run(const std::string& what, uint32_t ranks = 1) {
    coordinator_->Desire({Job("j1", what, muster::internal::v1::ASSIGNMENT_PHASE_PREPARE, ranks)});
    coordinator_->WaitForReport(Report::kPrepared);
    coordinator_->Desire({Job("j1", what, muster::internal::v1::ASSIGNMENT_PHASE_RUN, ranks)});
  }

  muster::internal::v1::RankExited WaitForExit() {
    return coordinator_->WaitForReport(Report::kRankExited).rank_exited();
  }

  pid_t WaitForPid() {
    const auto message = coordinator_->WaitFor("the rank's pid", [](const AgentMessage& m) { return m.log().text().starts_with("pid "); });
    int pid = 0;
    EXPECT_TRUE(absl::SimpleAtoi(message.log().text().substr(4), &pid));
    return pid;
  }

  std::filesystem::path folder_;
  std::unique_ptr<ScriptedCoordinator> coordinator_;
  std::optional<ChildProcess> worker_;
};

TEST_F(AgentTest, SaysWhoItIs) {
  const auto hello = coordinator_->WaitFor("hello", [](const AgentMessage& m) { return m.has_hello(); }).hello();
  EXPECT_EQ(hello.worker(), "w1");
  EXPECT_EQ(hello.slots(), 2);
  EXPECT_EQ(hello.device(), "cpu");
  EXPECT_GT(hello.cores(), 0);
  EXPECT_GT(hello.memory_bytes(), 1 << 20);
  EXPECT_EQ(hello.instance().size(), 16);
  coordinator_->WaitFor("heartbeat", [](const AgentMessage& m) { return m.has_heartbeat(); });
}

TEST_F(AgentTest, RunsAGangAndForwardsTheReportsOfItsRanks) {
  Run("succeed", 2);
  for (int i = 0; i < 2; ++i) {
    const auto exited = WaitForExit();
    EXPECT_EQ(exited.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << exited.ShortDebugString();
    EXPECT_EQ(exited.exit_code(), 0);
  }
  int started = 0, checkpoints = 0, evaluations = 0, exports = 0, progress = 0;
  std::string log;
  for (const AgentMessage& message : coordinator_->Heard()) {
    started += message.report().has_rank_started();
    checkpoints += message.report().checkpoint().checkpoint().step() == 3;
    evaluations += message.report().evaluation().label() == "trained";
    exports += message.report().exported().manifest() == "abc";
    progress += message.progress().progress().step() == 3;
    log += message.log().text();
  }
  EXPECT_EQ(started, 2);
  EXPECT_EQ(checkpoints, 2);
  EXPECT_EQ(evaluations, 2);
  EXPECT_EQ(exports, 2);
  EXPECT_GE(progress, 1);
  EXPECT_THAT(log, HasSubstr("rank 1 of 2"));
  EXPECT_TRUE(Within(kPatience, [&] {
    const auto text = ReadFile(State() / "logs/j1-a1-r1.log");
    return text.ok() && text->find("rank 1 of 2") != std::string::npos;
  }));
}

TEST_F(AgentTest, StartsRanksWithNcclOnTheirInterfaceAndWithoutSecrets) {
  Run("variables");
  coordinator_->WaitFor("the rank's variables", [](const AgentMessage& m) { return absl::StrContains(m.log().text(), "pid "); });
  const std::string log = *ReadFile(State() / "logs/j1-a1-r0.log");
  EXPECT_THAT(log, HasSubstr("NCCL_SOCKET_IFNAME==lo\n")) << "the interface towards the coordinator";
  EXPECT_THAT(log, HasSubstr("FI_PROVIDER=efa\n"));
  EXPECT_THAT(log, HasSubstr("CHOSEN=yes\n"));
  EXPECT_THAT(log, HasSubstr(absl::StrCat("TMPDIR=", (State() / "scratch/j1-a1/r0").string())));
  EXPECT_THAT(log, Not(HasSubstr("MUSTER_TOKEN")));
}

TEST_F(AgentTest, RemovesScratchWhenAnAttemptIsGone) {
  Run("succeed");
  WaitForExit();
  EXPECT_TRUE(std::filesystem::exists(State() / "scratch/j1-a1/r0/file"));
  coordinator_->Desire({});
  EXPECT_TRUE(Within(kPatience, [&] { return !std::filesystem::exists(State() / "scratch/j1-a1"); }));
}

TEST_F(AgentTest, ReportsACrashWithItsLastLines) {
  Run("crash");
  const auto exited = WaitForExit();
  EXPECT_EQ(exited.cause(), muster::internal::v1::EXIT_CAUSE_ERROR);
  EXPECT_EQ(exited.exit_code(), 3);
  EXPECT_EQ(exited.message(), "exit code 3: about to crash");
  EXPECT_EQ(exited.log_tail(), "about to crash\n");
}

TEST_F(AgentTest, ReportsAKilledRankAndLeavesTheOthers) {
  Run("wait", 2);
  const pid_t pid = WaitForPid();
  WaitForPid();
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  const auto exited = WaitForExit();
  EXPECT_EQ(exited.cause(), muster::internal::v1::EXIT_CAUSE_SIGNAL);
  EXPECT_EQ(exited.signal(), SIGKILL);
  EXPECT_THAT(exited.message(), HasSubstr("SIGKILL"));
  const auto heartbeat = coordinator_->WaitFor("a heartbeat with one rank", [](const AgentMessage& m) {
    return m.heartbeat().attempts_size() == 1 && m.heartbeat().attempts(0).running_ranks_size() == 1;
  });
  EXPECT_EQ(heartbeat.heartbeat().attempts(0).running_ranks(0), 1 - exited.rank());
}

TEST_F(AgentTest, StopsWhatIsNotDesired) {
  Run("wait");
  coordinator_->WaitForReport(Report::kRankStarted);
  coordinator_->Desire({});
  const auto exited = WaitForExit();
  EXPECT_EQ(exited.cause(), muster::internal::v1::EXIT_CAUSE_STOPPED);
  EXPECT_EQ(exited.message(), "stopped after step 7");
}

TEST_F(AgentTest, KillsARankThatIgnoresSigterm) {  // takes the 10 s of grace
  Run("stubborn");
  coordinator_->WaitForReport(Report::kRankStarted);
  coordinator_->Desire({});
  const auto exited = WaitForExit();
  EXPECT_EQ(exited.cause(), muster::internal::v1::EXIT_CAUSE_STOPPED);
  EXPECT_EQ(exited.signal(), SIGKILL);
  EXPECT_THAT(exited.message(), HasSubstr("did not end within 10s after SIGTERM"));
}

TEST_F(AgentTest, KillsARankThatSendsNonsense) {
  Run("noise");
  const auto exited = WaitForExit();
  EXPECT_EQ(exited.cause(), muster::internal::v1::EXIT_CAUSE_ERROR);
  EXPECT_THAT(exited.message(), HasSubstr("cannot be read"));
}

TEST_F(AgentTest, ForwardsARanksLastReport) {
  Run("refuse");
  const auto exited = WaitForExit();
  EXPECT_EQ(exited.cause(), muster::internal::v1::EXIT_CAUSE_PERMANENT);
  EXPECT_EQ(exited.message(), "the scores are not finite");
}

TEST_F(AgentTest, SendsReportsAgainToACoordinatorThatCameBack) {
  Run("wait");
  const pid_t pid = WaitForPid();
  coordinator_->SetAcknowledging(false);
  const int port = coordinator_->port();
  coordinator_->Stop();
  ASSERT_EQ(kill(pid, SIGKILL), 0);  // nobody receives it
  coordinator_->SetAcknowledging(true);
  ASSERT_TRUE(coordinator_->Start(port).ok());
  const auto hello = coordinator_->WaitFor("a second hello", [](const AgentMessage& m) { return m.has_hello(); });
  const Report report = coordinator_->WaitForReport(Report::kRankExited);
  EXPECT_EQ(report.rank_exited().signal(), SIGKILL);
  EXPECT_GT(report.sequence(), 1);
}

TEST_F(AgentTest, KeepsRanksWhileTheCoordinatorIsAway) {
  Run("wait");
  const pid_t pid = WaitForPid();
  const int port = coordinator_->port();
  coordinator_->Stop();
  ASSERT_TRUE(coordinator_->Start(port).ok());
  const auto hello = coordinator_->WaitFor("a hello with the attempt", [](const AgentMessage& m) {
    return m.has_hello() && m.hello().attempts_size() == 1;
  });
  EXPECT_THAT(hello.hello().attempts(0).running_ranks(), testing::ElementsAre(0));
  EXPECT_EQ(kill(pid, 0), 0);
}

TEST_F(AgentTest, ItsRanksEndWhenItIsKilledAndItReportsThatWhenItIsBack) {
  Run("wait");
  // A pidfd becomes readable when its process ends, even before somebody reaps it.
  const OwnedFd rank(static_cast<int>(syscall(SYS_pidfd_open, WaitForPid(), 0)));
  ASSERT_TRUE(rank.valid());
  worker_->Signal(SIGKILL);
  ASSERT_TRUE(worker_->WaitFor(kPatience).has_value());
  pollfd ended{rank.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 30000), 1);
  StartWorker();
  const auto exited = WaitForExit();
  EXPECT_EQ(exited.cause(), muster::internal::v1::EXIT_CAUSE_SIGNAL);
  EXPECT_THAT(exited.message(), HasSubstr("restarted"));
  EXPECT_FALSE(std::filesystem::exists(State() / "scratch/j1-a1")) << "left by the earlier agent";
}

TEST_F(AgentTest, OnSigtermDrainsAndExitsWithZero) {
  Run("wait");
  coordinator_->WaitForReport(Report::kRankStarted);
  worker_->Signal(SIGTERM);
  coordinator_->WaitFor("it drains", [](const AgentMessage& m) { return m.heartbeat().draining(); });
  EXPECT_EQ(coordinator_->WaitForReport(Report::kCheckpoint).checkpoint().checkpoint().step(), 7);
  EXPECT_EQ(WaitForExit().cause(), muster::internal::v1::EXIT_CAUSE_STOPPED);
  const auto status = worker_->WaitFor(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, 0) << DescribeExit(*status);
}

TEST_F(AgentTest, SaysWhereItsMetricsAre) {
  coordinator_->WaitFor("heartbeat", [](const AgentMessage& m) { return m.has_heartbeat(); });
  const auto ports = nlohmann::json::parse(*ReadFile(folder_ / "ports.json"));
  EXPECT_GT(ports["metrics_port"].get<int>(), 0);
}

TEST_F(AgentTest, IsReadyOnlyWithASession) {
  coordinator_->WaitFor("heartbeat", [](const AgentMessage& m) { return m.has_heartbeat(); });
  const auto ports = nlohmann::json::parse(*ReadFile(folder_ / "ports.json"));
  const auto channel =
      *MakeChannel(absl::StrCat("127.0.0.1:", ports["health_port"].get<int>()), SecurityOptions{.insecure = true});
  EXPECT_TRUE(CheckHealth(channel, "", kPatience).value());
  coordinator_->Stop();
  const absl::Duration deadline = RealClock().Monotonic() + kPatience;
  bool ready = true;
  while (ready && RealClock().Monotonic() < deadline) ready = CheckHealth(channel, "", kPatience).value();
  EXPECT_FALSE(ready);
  EXPECT_TRUE(CheckHealth(channel, "live", kPatience).value()) << "it is alive even without a coordinator";
}

TEST_F(AgentTest, RefusesToShareItsStateFolder) {
  coordinator_->WaitFor("hello", [](const AgentMessage& m) { return m.has_hello(); });
  std::optional<ChildProcess> first = std::move(worker_);
  StartWorker();
  const auto status = worker_->WaitFor(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, 6);
}

}  // namespace
}  // namespace muster
