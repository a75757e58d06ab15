#include "common/process/poll_loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace muster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

TEST(PollLoop, RunsCallsOfOtherThreads) {
  auto loop = PollLoop::Create();
  ASSERT_TRUE(loop.ok()) << loop.status();
  const auto own = std::this_thread::get_id();
  std::thread::id seen;
  std::thread other([&] { (*loop)->Post([&] { seen = std::this_thread::get_id(); }); });
  (*loop)->RunOnce(kPatience);
  other.join();
  EXPECT_EQ(seen, own);
}

TEST(PollLoop, CallsBackForWhatIsWatchedUntilItIsForgotten) {
  auto loop = PollLoop::Create();
  auto pipe = MakePipe();
  ASSERT_TRUE(loop.ok() && pipe.ok());
  int calls = 0;
  (*loop)->Watch(pipe->read.get(), [&] {
    ++calls;
    (*loop)->Forget(pipe->read.get());
  });
  ASSERT_EQ(write(pipe->write.get(), "x", 1), 1);
  (*loop)->RunOnce(kPatience);
  (*loop)->RunOnce(absl::ZeroDuration());
  EXPECT_EQ(calls, 1);
}

TEST(PollLoop, SeesTheEndOfAChild) {
  auto loop = PollLoop::Create();
  auto child = ChildProcess::Start({.argv = {"/bin/sh", "-c", "exit 4"}});
  ASSERT_TRUE(loop.ok() && child.ok());
  std::optional<ExitStatus> status;
  (*loop)->Watch(child->pidfd(), [&] { status = child->TryReap(); });
  (*loop)->RunOnce(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, 4);
}

TEST(PollLoop, DeliversSignals) {
  auto loop = PollLoop::Create();
  ASSERT_TRUE(loop.ok());
  int seen = 0;
  ASSERT_TRUE((*loop)->WatchSignals({SIGUSR1}, [&](int signal) { seen = signal; }).ok());
  raise(SIGUSR1);
  (*loop)->RunOnce(kPatience);
  EXPECT_EQ(seen, SIGUSR1);
}

}  // namespace
}  // namespace muster
