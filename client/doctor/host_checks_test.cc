#include "client/doctor/host_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::HasSubstr;

const std::vector<NetworkInterface> kInterfaces = {{"lo", {"127.0.0.1"}, true, true},
                                                   {"eth0", {"10.0.0.2"}, true, false},
                                                   {"eth1", {"10.1.0.2"}, true, false},
                                                   {"ib0", {}, false, false}};

TEST(HostChecks, AKeyThatEverybodyMayReadIsAProblem) {
  EXPECT_EQ(CheckSecretMode(Secret::kPrivateKey, "key.pem", 0100600).verdict, Verdict::kOk);
  EXPECT_EQ(CheckSecretMode(Secret::kPrivateKey, "key.pem", 0100640).verdict, Verdict::kOk);
  EXPECT_EQ(CheckSecretMode(Secret::kPrivateKey, "key.pem", 0100644).verdict, Verdict::kProblem);
  EXPECT_THAT(CheckSecretMode(Secret::kPrivateKey, "key.pem", 0100644).detail, HasSubstr("0644"));
  EXPECT_EQ(CheckSecretMode(Secret::kToken, "token", 0100600).verdict, Verdict::kOk);
  EXPECT_EQ(CheckSecretMode(Secret::kToken, "token", 0100644).verdict, Verdict::kProblem);
  EXPECT_THAT(CheckSecretMode(Secret::kToken, "token", 0100644).remedy, HasSubstr("issue a new token"));
}

TEST(HostChecks, ATakenPortNamesItsOwner) {
  EXPECT_EQ(CheckPort("metrics", 7075, false, "").verdict, Verdict::kOk);
  EXPECT_EQ(CheckPort("metrics", 7075, true, "muster-worker (pid 3)").verdict, Verdict::kOk);
  EXPECT_THAT(CheckPort("metrics", 7075, true, "python3 (pid 9)").detail, HasSubstr("taken by python3 (pid 9)"));
  EXPECT_EQ(CheckPort("metrics", 7075, true, "").verdict, Verdict::kProblem);
}

TEST(HostChecks, TheInterfaceTowardsTheCoordinator) {
  EXPECT_EQ(CheckInterface(kInterfaces, "c:7070", "10.0.0.2").verdict, Verdict::kOk);
  EXPECT_EQ(CheckInterface(kInterfaces, "c:7070", "127.0.0.1").verdict, Verdict::kWarning);
  EXPECT_EQ(CheckInterface(kInterfaces, "c:7070", "").verdict, Verdict::kProblem);
}

TEST(HostChecks, TheInterfaceThatTheWorkerIsGiven) {
  EXPECT_EQ(CheckChosenInterface(kInterfaces, "10.1.0.0/16").detail, "eth1 (10.1.0.2)");
  EXPECT_EQ(CheckChosenInterface(kInterfaces, "eth7").verdict, Verdict::kProblem);
}

TEST(HostChecks, NcclSocketIfname) {
  const auto check = [](const std::string& setting, const std::string& ranks = "eth0", bool chosen = false) {
    return CheckNcclInterface(kInterfaces, setting, ranks, chosen);
  };
  EXPECT_EQ(check("").verdict, Verdict::kOk);
  EXPECT_THAT(check("").detail, HasSubstr("muster-worker sets =eth0; NCCL does not encrypt"));
  EXPECT_EQ(check("eth").verdict, Verdict::kOk);
  EXPECT_THAT(check("eth").detail, HasSubstr("eth0, eth1"));
  EXPECT_EQ(check("=eth0").verdict, Verdict::kOk);
  EXPECT_EQ(check("=eth").verdict, Verdict::kProblem) << "an exact name";
  EXPECT_EQ(check("ib0").verdict, Verdict::kProblem) << "it is down";
  EXPECT_EQ(check("^eth0", "eth1").verdict, Verdict::kOk) << "eth1 is left";
  EXPECT_EQ(check("^eth").verdict, Verdict::kProblem) << "only loopback is left";
  EXPECT_THAT(check("bond0").detail, HasSubstr("there are lo, eth0, eth1"));
  EXPECT_EQ(check("eth1").verdict, Verdict::kWarning) << "NCCL and Gloo differ";
  EXPECT_EQ(check("eth1", "eth0", /*chosen=*/true).verdict, Verdict::kProblem) << "the worker refuses it";
  EXPECT_EQ(check("eth1", "").verdict, Verdict::kOk) << "the interface of the ranks is not known";
}

TEST(HostChecks, SizesAndLimits) {
  EXPECT_EQ(CheckShm(0, false).verdict, Verdict::kProblem);
  EXPECT_EQ(CheckShm(64 << 20, false).verdict, Verdict::kOk);
  EXPECT_EQ(CheckShm(64 << 20, true).verdict, Verdict::kProblem) << "podman's default is too small for NCCL";
  EXPECT_EQ(CheckShm(uint64_t{2} << 30, true).verdict, Verdict::kOk);
  EXPECT_EQ(CheckDisk("/state", 1000000000, 50000000000).verdict, Verdict::kProblem);
  EXPECT_EQ(CheckDisk("/state", 4000000000, 50000000000).verdict, Verdict::kWarning);
  EXPECT_EQ(CheckDisk("/state", 40000000000, 50000000000).verdict, Verdict::kOk);
  EXPECT_EQ(CheckCores(8, 2).verdict, Verdict::kOk);
  EXPECT_EQ(CheckCores(2, 0).verdict, Verdict::kOk) << "slots are not known";
  EXPECT_EQ(CheckCores(2, 4).verdict, Verdict::kWarning);
  EXPECT_EQ(CheckMemory(64000000000).verdict, Verdict::kOk);
  EXPECT_EQ(CheckMemory(1000000000).verdict, Verdict::kWarning);
  EXPECT_EQ(CheckOpenFiles(256).verdict, Verdict::kWarning);
  EXPECT_EQ(CheckOpenFiles(1 << 20).verdict, Verdict::kOk);
}

TEST(HostChecks, Gpus) {
  NvmlFacts none;
  none.absent = "libnvidia-ml.so.1 is not installed";
  EXPECT_EQ(CheckGpus(none, false)[0].verdict, Verdict::kOk) << "absence is said, and is not a problem of a CPU worker";
  EXPECT_EQ(CheckGpus(none, true)[0].verdict, Verdict::kProblem);
  NvmlFacts facts;
  facts.driver = "570.1";
  const auto reading = [](uint64_t errors, uint64_t throttle, uint32_t temperature) {
    return GpuReading{.temperature = temperature, .throttle = throttle, .ecc_errors = errors};
  };
  facts.gpus = {{0, "H200", reading(0, 0x4, 50)}, {1, "H200", reading(2, 0, 50)}, {2, "H200", reading(0, 0x40, 95)},
                {3, "H200", reading(0, 0, 95)}, {4, "old", {}}};
  const Findings findings = CheckGpus(facts, true);
  ASSERT_EQ(findings.size(), 6u);
  EXPECT_EQ(findings[5].detail, "well") << "what it does not support is not said";
  EXPECT_EQ(findings[1].verdict, Verdict::kOk) << "a software power cap is everyday";
  EXPECT_THAT(findings[2].detail, HasSubstr("2 uncorrected memory errors"));
  EXPECT_THAT(findings[3].detail, HasSubstr("throttled by heat"));
  EXPECT_EQ(findings[4].verdict, Verdict::kWarning);
}

TEST(HostChecks, TheRankProgram) {
  EXPECT_EQ(CheckRankProgram("/bin/muster-rank", false, 0, "").verdict, Verdict::kProblem);
  EXPECT_EQ(CheckRankProgram("/bin/muster-rank", true, 0, "muster-rank 0.1.0").verdict, Verdict::kOk);
  EXPECT_THAT(CheckRankProgram("/bin/muster-rank", true, 127, "libtorch_cpu.so: cannot open").detail,
              HasSubstr("libtorch_cpu.so"));
}

}  // namespace
}  // namespace muster
