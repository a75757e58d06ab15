#include "common/process/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace muster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

ChildProcess::Options Shell(const std::string& script) { return {.argv = {"/bin/sh", "-c", script}}; }

// Reads until the other end is closed, at most kPatience between two reads.
std::string ReadAll(int fd) {
  std::string bytes;
  pollfd ready{fd, POLLIN, 0};
  while (poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))) > 0) {
    if (!ReadAvailable(fd, bytes)) break;
  }
  return bytes;
}

std::string ReadLine(int fd) {
  std::string line;
  pollfd ready{fd, POLLIN, 0};
  while (line.empty() || line.back() != '\n') {
    if (poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))) <= 0) break;
    if (!ReadAvailable(fd, line)) break;
  }
  return line;
}

TEST(ChildProcess, ReportsItsExitCode) {
  auto child = ChildProcess::Start(Shell("exit 3"));
  ASSERT_TRUE(child.ok()) << child.status();
  const auto status = child->WaitFor(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, 3);
  EXPECT_EQ(status->signal, 0);
  EXPECT_EQ(DescribeExit(*status), "exit code 3");
}

TEST(ChildProcess, ReportsItsSignal) {
  auto child = ChildProcess::Start(Shell("kill -KILL $$"));
  ASSERT_TRUE(child.ok()) << child.status();
  const auto status = child->WaitFor(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->signal, SIGKILL);
  EXPECT_EQ(DescribeExit(*status), "killed by SIGKILL");
}

TEST(ChildProcess, SaysWhichProgramCannotBeStarted) {
  const auto child = ChildProcess::Start({.argv = {"/no/such/program"}});
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(child.status().message()), testing::HasSubstr("/no/such/program"));
}

TEST(ChildProcess, RunsOnTheProcessorsThatItIsBoundTo) {
  cpu_set_t ours;
  ASSERT_EQ(sched_getaffinity(0, sizeof(ours), &ours), 0);
  uint32_t last = 0;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &ours)) last = cpu;
  }
  auto out = MakePipe();
  ASSERT_TRUE(out.ok());
  ChildProcess::Options options = Shell("while read -r name list; do [ $name = Cpus_allowed_list: ] && echo $list; done "
                                        "< /proc/self/status");
  options.fds = {{1, out->write.get()}};
  options.cpus = {last};
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.ok()) << child.status();
  out->write.Close();
  EXPECT_EQ(ReadAll(out->read.get()), absl::StrCat(last, "\n"));
  cpu_set_t after;
  ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&ours, &after)) << "only the child is bound";
}

TEST(ChildProcess, SeesItsDescriptorsAndItsEnvironmentOnly) {
  auto out = MakePipe();
  auto three = MakePipe();
  auto other = MakePipe();
  ASSERT_TRUE(out.ok() && three.ok() && other.ok());
  // The second source has the number that the first is mapped to, as can happen in a server.
  auto options = Shell(absl::StrCat("echo $GREETING $HOME; echo three >&3; [ -e /proc/self/fd/", other->write.get(),
                                    " ] && [ ", other->write.get(), " -gt 3 ] && echo leak; exit 0"));
  options.environment = {{"GREETING=hello"}};
  options.fds = {{1, out->write.get()}, {3, three->write.get()}};
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.ok()) << child.status();
  out->write.Close();
  three->write.Close();
  EXPECT_EQ(ReadAll(out->read.get()), "hello\n");
  EXPECT_EQ(ReadAll(three->read.get()), "three\n");
  EXPECT_TRUE(child->WaitFor(kPatience).has_value());
}

TEST(ChildProcess, MapsDescriptorsWhoseNumbersOverlap) {
  auto a = MakePipe();
  auto b = MakePipe();
  ASSERT_TRUE(a.ok() && b.ok());
  const int first = a->write.get(), second = b->write.get();
  auto options = Shell(absl::StrCat("echo a >&", second, "; echo b >&", first));
  options.fds = {{second, first}, {first, second}};  // swapped
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.ok()) << child.status();
  a->write.Close();
  b->write.Close();
  EXPECT_EQ(ReadAll(a->read.get()), "a\n");
  EXPECT_EQ(ReadAll(b->read.get()), "b\n");
}

TEST(ChildProcess, SignalsReachItsWholeGroup) {
  auto out = MakePipe();
  ASSERT_TRUE(out.ok());
  auto options = Shell("sleep 1000 & echo $!; wait");
  options.fds = {{1, out->write.get()}};
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.ok()) << child.status();
  out->write.Close();
  ASSERT_NE(ReadLine(out->read.get()), "");
  child->Signal(SIGKILL);
  EXPECT_TRUE(child->WaitFor(kPatience).has_value());
  // The grandchild held the pipe as well: it closes only when both are gone.
  EXPECT_EQ(ReadAll(out->read.get()), "");
}

TEST(ChildProcess, WhatAChildLeavesBehindIsKilledWhenItIsReaped) {
  auto out = MakePipe();
  ASSERT_TRUE(out.ok());
  auto options = Shell("sleep 1000 & exit 0");
  options.fds = {{1, out->write.get()}};
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.ok()) << child.status();
  out->write.Close();
  ASSERT_TRUE(child->WaitFor(kPatience).has_value());
  std::string bytes;
  pollfd ready{out->read.get(), POLLIN, 0};
  ASSERT_EQ(poll(&ready, 1, 20000), 1);
  EXPECT_FALSE(ReadAvailable(out->read.get(), bytes));
}

TEST(ChildProcess, DiesWithTheThreadThatStartedIt) {
  std::optional<ChildProcess> child;
  std::thread([&] {
    auto started = ChildProcess::Start(Shell("exec sleep 1000"));
    ASSERT_TRUE(started.ok()) << started.status();
    child.emplace(*std::move(started));
  }).join();
  ASSERT_TRUE(child.has_value());
  const auto status = child->WaitFor(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->signal, SIGKILL);
}

TEST(ChildProcess, IsNotReapedWhileItRuns) {
  auto child = ChildProcess::Start(Shell("exec sleep 1000"));
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_FALSE(child->TryReap().has_value());
  child->Signal(SIGTERM);
  const auto status = child->WaitFor(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->signal, SIGTERM);
  EXPECT_TRUE(child->TryReap().has_value()) << "the status stays";
}

}  // namespace
}  // namespace muster
