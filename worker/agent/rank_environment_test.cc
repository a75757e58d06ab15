#include "worker/agent/rank_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"

namespace muster {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;

const std::vector<NetworkInterface> kHost = {{"eth0", {"10.0.0.2", "fd00:1::2"}, true, false},
                                             {"eth1", {"10.1.0.2"}, true, false},
                                             {"lo", {"127.0.0.1", "::1"}, true, true}};

constexpr char kSleep[] = "OMP_WAIT_POLICY=passive";  // set in every rank's environment

RankVariableOptions On(const std::string& name, const std::string& address, bool chosen = true) {
  return {.interface = {name, address}, .interface_is_chosen = chosen, .gpu = true};
}
const RankVariableOptions kEth0 = On("eth0", "10.0.0.2");

RankVariables Choose(const std::vector<std::string>& environment, const RankVariableOptions& options = kEth0) {
  const auto chosen = ChooseRankVariables(environment, options, kHost);
  EXPECT_TRUE(chosen.ok()) << chosen.status();
  return chosen.value_or(RankVariables{});
}
std::string Refusal(const std::vector<std::string>& environment, const RankVariableOptions& options = kEth0) {
  return std::string(ChooseRankVariables(environment, options, kHost).status().message());
}

TEST(RankVariables, PassTheListedNamesAndNoSecret) {
  const RankVariables chosen =
      Choose({"PATH=/bin", "SECRET=1", "PATHS=x", "MUSTER_TOKEN_FILE=/t", "LD_PRELOAD=/x.so", "TMPDIR=/tmp"});
  EXPECT_THAT(chosen.environment, ElementsAre("NCCL_SOCKET_FAMILY=AF_INET", "NCCL_SOCKET_IFNAME==eth0", "OMP_WAIT_POLICY=passive",
                                              "PATH=/bin"));
  EXPECT_THAT(chosen.warnings, IsEmpty());
}

TEST(RankVariables, LetNoThreadSpinUnlessTheEnvironmentSaysHow) {
  EXPECT_THAT(Choose({}).environment, Contains("OMP_WAIT_POLICY=passive"));
  for (const std::string entry : {"OMP_WAIT_POLICY=active", "GOMP_SPINCOUNT=100"}) {
    const std::vector<std::string> environment = Choose({entry}).environment;
    EXPECT_THAT(environment, Contains(entry));
    EXPECT_THAT(environment, Not(Contains("OMP_WAIT_POLICY=passive")));
  }
}

TEST(RankVariables, PassTheFamiliesOfEfaRdmaAndTcpx) {
  for (const std::string entry :
       {"FI_PROVIDER=efa", "FI_EFA_USE_DEVICE_RDMA=1", "OFI_NCCL_PROTOCOL=RDMA", "NCCL_TUNER_PLUGIN=/opt/tuner.so",
        "NCCL_GPUDIRECTTCPX_SOCKET_IFNAME=eth1", "NCCL_FASTRAK_CTRL_DEV=eth0", "NCCL_IB_HCA==mlx5_0", "RDMAV_FORK_SAFE=1",
        "MLX5_SINGLE_THREADED=1", "UCX_TLS=rc", "IBV_FORK_SAFE=1", "LD_LIBRARY_PATH=/opt/amazon/efa/lib"}) {
    EXPECT_THAT(Choose({entry}).environment, Contains(entry));
  }
}

TEST(RankVariables, LeaveToMusterWhatResultsDependOn) {
  for (const std::string entry :
       {"NCCL_ALGO=Tree", "NCCL_PROTO=LL128", "NCCL_COMM_ID=10.0.0.1:1", "CUBLAS_WORKSPACE_CONFIG=:0:0"}) {
    const RankVariables chosen = Choose({entry});
    EXPECT_THAT(chosen.environment, Not(Contains(entry)));
    EXPECT_THAT(chosen.warnings, ElementsAre(StartsWith(entry + " in the environment does not reach the ranks")));
  }
  EXPECT_THAT(Choose({"NCCL_ALGO=Ring"}).warnings, IsEmpty()) << "what Muster sets anyway";
  EXPECT_THAT(Choose({"GLOO_SOCKET_IFNAME=eth1"}).warnings, ElementsAre(HasSubstr("Gloo binds the address of --interface")));
}

TEST(RankVariables, BindNcclToTheInterfaceOfTheRanks) {
  EXPECT_THAT(Choose({}, On("eth1", "10.1.0.2")).environment,
              ElementsAre("NCCL_SOCKET_FAMILY=AF_INET", "NCCL_SOCKET_IFNAME==eth1", kSleep));
  EXPECT_THAT(Choose({}, On("eth0", "fd00:1::2", /*chosen=*/false)).environment,
              ElementsAre("NCCL_SOCKET_FAMILY=AF_INET6", "NCCL_SOCKET_IFNAME==eth0", kSleep));
  EXPECT_THAT(Choose({}, On("lo", "::1")).environment, ElementsAre("NCCL_SOCKET_IFNAME==lo", kSleep))
      << "NCCL cannot use ::1, and finds 127.0.0.1 by itself";
  const RankVariables unknown = Choose({}, On("", "10.9.0.1"));
  EXPECT_THAT(unknown.environment, ElementsAre(kSleep));
  EXPECT_THAT(unknown.warnings, ElementsAre(HasSubstr("NCCL chooses one by itself")));
}

TEST(RankVariables, AListThatHasTheInterfaceStays) {
  EXPECT_THAT(Choose({"NCCL_SOCKET_IFNAME=eth"}).environment,
              ElementsAre("NCCL_SOCKET_FAMILY=AF_INET", "NCCL_SOCKET_IFNAME=eth", kSleep));
  EXPECT_THAT(Choose({"NCCL_SOCKET_IFNAME=eth"}).warnings, IsEmpty());
}

TEST(RankVariables, AContradictionIsRefusedWhereTheInterfaceIsNamedAndAWarningWhereItIsNot) {
  EXPECT_THAT(Refusal({"NCCL_SOCKET_IFNAME=eth1"}),
              HasSubstr("NCCL_SOCKET_IFNAME=eth1 in the environment selects eth1, but ranks must use eth0 (10.0.0.2)"));
  EXPECT_THAT(Refusal({"NCCL_SOCKET_IFNAME=ib"}), HasSubstr("selects no interface that is up"));
  EXPECT_THAT(Refusal({"NCCL_SOCKET_FAMILY=AF_INET6"}), HasSubstr("NCCL_SOCKET_FAMILY=AF_INET6 in the environment"));
  const RankVariables chosen = Choose({"NCCL_SOCKET_IFNAME=eth1"}, On("eth0", "10.0.0.2", /*chosen=*/false));
  EXPECT_THAT(chosen.environment, ElementsAre("NCCL_SOCKET_IFNAME=eth1", kSleep));
  EXPECT_THAT(chosen.warnings, ElementsAre(HasSubstr("the environment wins for NCCL")));
  RankVariableOptions cpu = kEth0;
  cpu.gpu = false;
  EXPECT_THAT(Choose({"NCCL_SOCKET_IFNAME=eth1"}, cpu).warnings, IsEmpty()) << "nothing reads it without GPUs";
}

TEST(RankVariables, RankEnvLetsFurtherNamesThrough) {
  RankVariableOptions options = kEth0;
  options.extra = {"PYTORCH_CUDA_ALLOC_CONF", "NOT_SET"};
  const RankVariables chosen = Choose({"PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True", "OTHER=1"}, options);
  EXPECT_THAT(chosen.environment, UnorderedElementsAre("NCCL_SOCKET_FAMILY=AF_INET", "NCCL_SOCKET_IFNAME==eth0", kSleep,
                                                       "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"));
  EXPECT_THAT(chosen.warnings, ElementsAre(HasSubstr("--rank-env NOT_SET: this variable is not set here")));
  for (const std::string name : {"MUSTER_TOKEN_FILE", "LD_PRELOAD", "NCCL_ALGO", "TMPDIR", "A=b", "", "1A"}) {
    options.extra = {name};
    EXPECT_THAT(Refusal({name + "=x"}, options), StartsWith("--rank-env " + name + ": "));
  }
}

}  // namespace
}  // namespace muster
