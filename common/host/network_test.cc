#include "common/host/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<NetworkInterface> kHost = {
    {"eth0", {"10.0.0.2", "fe80::2%eth0", "fd00:1::2"}, true, false},
    {"eth1", {"10.1.0.2"}, true, false},
    {"ib0", {"10.2.0.2"}, false, false},
    {"lo", {"127.0.0.1", "::1"}, true, true},
    {"net1", {"fe80::9%net1", "fd00:2::9"}, true, false},
};

RankInterface Chosen(const std::string& setting) {
  const auto chosen = ChooseInterface(kHost, setting);
  EXPECT_TRUE(chosen.ok()) << chosen.status();
  return chosen.value_or(RankInterface{});
}
std::string Refusal(const std::string& setting) {
  return std::string(ChooseInterface(kHost, setting).status().message());
}

TEST(ChooseInterface, TakesAnAddressANameOrANetwork) {
  for (const std::string setting : {"10.0.0.2", "eth0", "10.0.0.0/16"}) {
    EXPECT_EQ(Chosen(setting).name, "eth0") << setting;
    EXPECT_EQ(Chosen(setting).address, "10.0.0.2") << setting;
  }
  for (const std::string setting : {"fd00:2::9", "net1", "fd00:2::/64", "fd00:2:0::9"}) {
    EXPECT_EQ(Chosen(setting).name, "net1") << setting;
    EXPECT_TRUE(IsIpv6(Chosen(setting).address)) << setting;
  }
  EXPECT_EQ(Chosen("net1").address, "fd00:2::9") << "a link-local address needs a zone, which differs between hosts";
  EXPECT_EQ(Chosen("127.0.0.7").name, "lo");
  EXPECT_EQ(Chosen("::1").name, "lo");
}

TEST(ChooseInterface, RefusesWhatTheHostDoesNotHave) {
  EXPECT_THAT(Refusal("10.9.0.1"), HasSubstr("--interface 10.9.0.1: no interface of this host has this address"));
  EXPECT_THAT(Refusal("eth7"), HasSubstr("there are eth0 (10.0.0.2"));
  EXPECT_THAT(Refusal("ib0"), HasSubstr("is down"));
  EXPECT_THAT(Refusal("10.2.0.2"), HasSubstr("ib0, which has this address, is down"));
  EXPECT_THAT(Refusal("10.2.0.0/16"), HasSubstr("no interface that is up"));
  EXPECT_THAT(Refusal("10.0.0.0/8"), HasSubstr("several addresses"));
  EXPECT_THAT(Refusal("10.0.0.0/33"), HasSubstr("neither an address"));
}

TEST(ChooseInterface, TakesAnAddressWhereTheKernelHidesTheInterfaces) {
  const auto chosen = ChooseInterface({}, "10.0.0.2");
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(chosen->name, "");
  EXPECT_EQ(chosen->address, "10.0.0.2");
}

TEST(NcclInterfaces, ReadsTheSettingAsNcclDoes) {
  EXPECT_THAT(NcclInterfaces(kHost, "eth"), ElementsAre("eth0", "eth1"));
  EXPECT_THAT(NcclInterfaces(kHost, "=eth0,net1"), ElementsAre("eth0", "net1"));
  EXPECT_THAT(NcclInterfaces(kHost, "=eth"), IsEmpty());
  EXPECT_THAT(NcclInterfaces(kHost, "ib"), IsEmpty()) << "it is down";
  EXPECT_THAT(NcclInterfaces(kHost, "^eth0"), ElementsAre("eth1", "net1"));
  EXPECT_THAT(NcclInterfaces(kHost, "^=eth0"), ElementsAre("eth1", "net1"));
}

TEST(NetworkInterfaces, FindsLoopback) {
  const std::vector<NetworkInterface> here = NetworkInterfaces();
  const NetworkInterface* loopback = InterfaceOf(here, "127.0.0.1");
  ASSERT_NE(loopback, nullptr) << Describe(here);
  EXPECT_TRUE(loopback->loopback);
}

}  // namespace
}  // namespace muster
