// The real NCCL, which finds its interface before it looks for a GPU, with the variables that ranks get on this host.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/process/child_process.h"
#include "worker/agent/rank_environment.h"

namespace muster {
namespace {

using testing::HasSubstr;

constexpr char kScript[] =
    "import ctypes, sys\n"
    "sys.exit(ctypes.CDLL('" MUSTER_NCCL "').ncclGetUniqueId(ctypes.create_string_buffer(128)))\n";

// NCCL's messages when rank 0 makes the id under which the others find it.
std::string WordsOfNccl(const RankInterface& interface) {
  const auto chosen = ChooseRankVariables({"PATH=/usr/bin:/bin", "NCCL_DEBUG=INFO"},
                                          {.interface = interface, .interface_is_chosen = true, .gpu = true},
                                          NetworkInterfaces());
  if (!chosen.ok()) return chosen.status().ToString();
  const std::filesystem::path folder = *MakeScratchFolder(testing::TempDir(), "nccl");
  auto output = OpenFd(folder / "log", O_CREAT | O_WRONLY);
  auto child = ChildProcess::Start({.argv = {"/usr/bin/python3", "-c", kScript},
                                    .environment = chosen->environment,
                                    .fds = {{1, output->get()}, {2, output->get()}}});
  if (!child.ok()) return child.status().ToString();
  const std::optional<ExitStatus> status = child->WaitFor(absl::Seconds(60));
  const std::string words = *ReadFile(folder / "log");
  std::filesystem::remove_all(folder);
  return absl::StrCat(words, status.has_value() ? DescribeExit(*status) : "still running");
}

TEST(Nccl, StaysOnTheInterfaceOfTheRanks) {
  int tried = 0;
  for (const NetworkInterface& one : NetworkInterfaces()) {
    for (const std::string& address : one.addresses) {
      if (!one.up || absl::StartsWith(address, "fe80")) continue;
      SCOPED_TRACE(absl::StrCat(one.name, " ", address));
      const std::string expected = one.loopback ? absl::StrCat(one.name, ":") : absl::StrCat(one.name, ":", address, "<");
      const std::string words = WordsOfNccl({one.name, address});
      EXPECT_THAT(words, HasSubstr(absl::StrCat("Bootstrap: Using ", expected)));
      EXPECT_THAT(words, HasSubstr("exit code 0"));
      ++tried;
    }
  }
  EXPECT_GE(tried, 1) << "at least loopback";
}

}  // namespace
}  // namespace muster
