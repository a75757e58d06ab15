#include "worker/agent/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

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

TEST(ResolveFlags, HasOneSlotPerGpuAndOneSlotWithoutGpus) {
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
  HostFacts host = Host();
  host.interfaces = {{"lo", {"127.0.0.1", "::1"}, true, true}};
  for (const char* text : {"[::1]", "::1"}) {
    WorkerFlags flags = Flags();
    flags.interface = text;
    const auto options = ResolveFlags(flags, host);
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_EQ(options->core.interface_address, "::1");
  }
}

TEST(ResolveFlags, FindsTheInterfaceOfTheRanks) {
  HostFacts host = Host();
  host.interfaces = {{"eth0", {"10.0.0.2"}, true, false}, {"lo", {"127.0.0.1"}, true, true}};
  EXPECT_EQ(ResolveInterface(Flags(), host)->name, "lo") << "the one towards the coordinator";
  WorkerFlags flags = Flags();
  flags.interface = "eth0";
  const auto options = ResolveFlags(flags, host);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->core.interface_address, "10.0.0.2") << "Gloo binds an address";
  flags.interface = "10.9.9.9";
  EXPECT_THAT(Refusal(flags, host), HasSubstr("--interface 10.9.9.9: no interface of this host has this address"));
  host.interface_towards_coordinator.clear();
  EXPECT_THAT(Refusal(Flags(), host), HasSubstr("no route to this address"));
}

}  // namespace
}  // namespace muster
