#include "worker/agent/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/agent/rank_environment.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

WorkerFlags Flags() {
  WorkerFlags flags;
  flags.coordinator = "127.0.0.1:7070";
  flags.state = "/tmp/state";
  flags.certs = "/tmp/certs";
  flags.rank_binary = "/bin/sh";
  return flags;
}
HostFacts Host(std::vector<std::string> gpus = {}) { return {"Node-1", 8, 1 << 30, std::move(gpus), "/bin", "127.0.0.1"}; }

std::string Refusal(const WorkerFlags& flags, const HostFacts& host) {
  return std::string(ResolveFlags(flags, host).status().message());
}

TEST(ResolveFlags, TakesOneSlotAGpuAndOneSlotWithoutGpus) {
  const auto cpu = ResolveFlags(Flags(), Host());
  ASSERT_TRUE(cpu.ok()) << cpu.status();
  EXPECT_EQ(cpu->core.facts.device, "cpu");
  EXPECT_EQ(cpu->core.facts.slots, 1);
  EXPECT_EQ(cpu->core.facts.worker, "node-1");
  const auto gpu = ResolveFlags(Flags(), Host({"NVIDIA H200", "NVIDIA H200"}));
  ASSERT_TRUE(gpu.ok()) << gpu.status();
  EXPECT_EQ(gpu->core.facts.device, "gpu");
  EXPECT_EQ(gpu->core.facts.device_name, "NVIDIA H200");
  EXPECT_EQ(gpu->core.facts.slots, 2);
}

TEST(ResolveFlags, NamesTheFlagThatIsWrong) {
  WorkerFlags flags = Flags();
  flags.insecure = true;
  EXPECT_THAT(Refusal(flags, Host()), HasSubstr("--certs DIR or --insecure"));
  flags = Flags();
  flags.device = "gpu";
  EXPECT_THAT(Refusal(flags, Host()), HasSubstr("--device gpu"));
  flags = Flags();
  flags.slots = 2;
  EXPECT_THAT(Refusal(flags, Host({"NVIDIA H200"})), HasSubstr("this host has 1 GPUs"));
  flags = Flags();
  flags.name = "Not A Name";
  EXPECT_THAT(Refusal(flags, Host()), HasSubstr("--name"));
  flags = Flags();
  flags.rank_binary = "/no/such/rank";
  EXPECT_THAT(Refusal(flags, Host()), HasSubstr("--rank-binary"));
  flags = Flags();
  flags.coordinator = "localhost:99999";
  EXPECT_THAT(Refusal(flags, Host()), HasSubstr("--coordinator: \"localhost:99999\": the port must be"));
}

TEST(ResolveFlags, TakesAnIPv6InterfaceWithBracketsAndWithout) {
  for (const char* text : {"[::1]", "::1"}) {
    WorkerFlags flags = Flags();
    flags.interface_address = text;
    EXPECT_EQ(ResolveFlags(flags, Host())->core.interface_address, "::1");
  }
}

TEST(RankEnvironment, PassesListedNamesOnly) {
  EXPECT_THAT(RankEnvironment({"PATH=/bin", "SECRET=1", "NCCL_DEBUG=INFO", "NCCL_ALGO=Ring", "PATHS=x"}, "/scratch"),
              ElementsAre("PATH=/bin", "NCCL_DEBUG=INFO", "TMPDIR=/scratch"));
}

}  // namespace
}  // namespace muster
