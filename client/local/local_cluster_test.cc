// The supervision of muster local, with shell scripts instead of servers.
#include "client/local/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace muster {
namespace {

using testing::HasSubstr;

constexpr char kServer[] = R"(#!/bin/sh
# Notes its arguments, writes its port file (a given port stays, a free one is 4711), and runs until SIGTERM.
name=$(basename "$0"); echo "$name $*" >> "$(dirname "$0")/calls"
port=4711; metrics=4712; health=4713
while [ $# -gt 0 ]; do
  case "$1" in
    --port-file) file=$2;;
    --listen) [ "${2##*:}" = 0 ] || port=${2##*:};;
  esac
  shift
done
echo "{\"port\": $port, \"metrics_port\": $metrics, \"health_port\": $health}" > "$file.new"; mv "$file.new" "$file"
exec sleep 1000
)";

class LocalClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeScratchFolder(testing::TempDir(), "local");
    for (const char* name : {"data", "coordinator", "worker"}) WriteServer(name, kServer);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void WriteServer(const std::string& name, const std::string& script) {
    const std::filesystem::path file = folder_ / ("muster-" + name);
    ASSERT_TRUE(WriteFileAtomically(file, script, 0755).ok());
  }
  LocalCluster::Options Options() {
    LocalCluster::Options options;
    options.state = folder_ / "state";
    options.bin_folder = folder_;
    options.slots = 2;
    options.serves = [](const std::string&) { return true; };
    options.has_worker = [](const std::string&) { return true; };
    return options;
  }
  nlohmann::json Info() { return nlohmann::json::parse(*ReadFile(folder_ / "state/local.json")); }

  std::filesystem::path folder_;
};

TEST_F(LocalClusterTest, StartsServersInOrderAndSaysWhereTheyAre) {
  auto cluster = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->Start().ok());
  const auto info = Info();
  EXPECT_EQ(info["address"], "127.0.0.1:4711");
  EXPECT_EQ(info["metrics"]["worker"], "127.0.0.1:4712");
  EXPECT_EQ(info["health"]["worker"], "127.0.0.1:4713");
  EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(info["certs"].get<std::string>()) / "key.pem"));
  const std::string calls = *ReadFile(folder_ / "calls");
  EXPECT_LT(calls.find("muster-data"), calls.find("muster-coordinator"));
  EXPECT_LT(calls.find("muster-coordinator"), calls.find("muster-worker"));
  EXPECT_THAT(calls, HasSubstr("--data 127.0.0.1:4711"));
  EXPECT_THAT(calls, HasSubstr("--coordinator 127.0.0.1:4711 --name local --drain-timeout 10 --slots 2"));
  (*cluster)->Stop();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "state/local.json"));
  for (const char* server : {"data", "coordinator", "worker"}) {
    EXPECT_EQ(kill(info["pids"][server].get<pid_t>(), 0), -1) << server;
  }
}

TEST_F(LocalClusterTest, StartsAServerAgainOnItsPort) {
  auto cluster = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->Start().ok());
  const pid_t before = Info()["pids"]["coordinator"];
  ASSERT_EQ(kill(before, SIGKILL), 0);
  // The command waits for the new process and for the arguments that it records, and ends with an exit code of its own.
  const std::string is_old = absl::StrCat("grep -q '\"coordinator\": ", before, "' ", (folder_ / "state/local.json").string());
  const std::string is_noted = absl::StrCat("grep -q -e '--listen 127.0.0.1:4711' ", (folder_ / "calls").string());
  const auto code = (*cluster)->Run({"/bin/sh", "-c", absl::StrCat("i=0; while ", is_old, " || ! ", is_noted,
                                     "; do i=$((i+1)); [ $i -lt 400 ] || exit 1; sleep 0.05; done; exit 7")});
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 7);
  EXPECT_NE(Info()["pids"]["coordinator"], before);
  (*cluster)->Stop();
}

TEST_F(LocalClusterTest, TellsTheCommandWhereTheClusterIs) {
  auto cluster = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->Start().ok());
  const auto code = (*cluster)->Run({"/bin/sh", "-c", "[ $MUSTER_ADDRESS = 127.0.0.1:4711 ] && [ -f $MUSTER_CERTS/cert.pem ]"});
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 0);
  (*cluster)->Stop();
}

TEST_F(LocalClusterTest, NamesTheServerThatCannotStartAndItsLastLine) {
  WriteServer("coordinator", "#!/bin/sh\necho 'the journal is of a newer version' >&2\nexit 1\n");
  auto cluster = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const absl::Status status = (*cluster)->Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("muster-coordinator ended: exit code 1: the journal is of a newer version"));
  (*cluster)->Stop();
}

TEST_F(LocalClusterTest, RefusesASecondClusterOnOneState) {
  auto first = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = LocalCluster::Create(Options(), RealClock());
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use by another muster local"));
}

TEST_F(LocalClusterTest, EndsOnASignal) {
  auto cluster = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->Start().ok());
  raise(SIGTERM);
  const auto code = (*cluster)->Run({});
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 0);
  (*cluster)->Stop();
}

TEST(RestartDelay, GrowsUpToFiveSeconds) {
  EXPECT_EQ(RestartDelay(1), absl::Milliseconds(200));
  EXPECT_EQ(RestartDelay(3), absl::Milliseconds(800));
  EXPECT_EQ(RestartDelay(1000), absl::Seconds(5));
}

}  // namespace
}  // namespace muster
