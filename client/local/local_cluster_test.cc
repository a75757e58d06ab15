// The supervision of muster local, with shell scripts instead of servers.
#include "client/local/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rpc/access/tokens.h"

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
    options.port = 0;
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
  EXPECT_THAT(calls, HasSubstr(absl::StrCat("--tokens ", (*cluster)->tokens().string())));
  EXPECT_THAT(calls, HasSubstr("--coordinator 127.0.0.1:4711 --name local --drain-timeout 10 --slots 2"));
  (*cluster)->Stop();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "state/local.json"));
  for (const char* server : {"data", "coordinator", "worker"}) {
    EXPECT_EQ(kill(info["pids"][server].get<pid_t>(), 0), -1) << server;
  }
}

// Listens on a free port until it goes out of scope.
struct TakenPort {
  TakenPort() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd, 1), 0);
    EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
  }
  ~TakenPort() { close(fd); }
  int fd, port = 0;
};

TEST_F(LocalClusterTest, UsesTheUsualPortOrAFreeOneIfThatIsTaken) {
  auto options = Options();
  options.port.reset();
  {
    const TakenPort taken;
    options.usual_port = taken.port;
    auto cluster = LocalCluster::Create(options, RealClock());
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    testing::internal::CaptureStderr();
    ASSERT_TRUE((*cluster)->Start().ok());
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              absl::StrCat("muster local: port ", taken.port, " is taken; the coordinator listens on 4711\n"));
    EXPECT_EQ(Info()["address"], "127.0.0.1:4711");
    (*cluster)->Stop();
  }
  auto cluster = LocalCluster::Create(options, RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->Start().ok());
  EXPECT_EQ(Info()["address"], absl::StrCat("127.0.0.1:", options.usual_port));
  (*cluster)->Stop();
}

TEST_F(LocalClusterTest, GivesItsUserANewTokenAndKeepsThoseOfOthers) {
  std::string first;
  {
    const auto cluster = LocalCluster::Create(Options(), RealClock());
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    first = *ReadFile((*cluster)->user_token());
    auto entries = *ParseTokens(*ReadFile((*cluster)->tokens()), "tokens");
    ASSERT_EQ(entries.size(), 1);
    entries.push_back({"ada", Role::kViewer, std::string(64, 'a')});
    ASSERT_TRUE(WriteFileAtomically((*cluster)->tokens(), FormatTokens(entries)).ok());
  }
  const auto cluster = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const auto entries = *ParseTokens(*ReadFile((*cluster)->tokens()), "tokens");
  ASSERT_EQ(entries.size(), 2);
  EXPECT_EQ(entries[0].user, "ada");
  EXPECT_EQ(entries[1].user, "local");
  EXPECT_EQ(entries[1].role, Role::kOperator);
  const std::string secret = *ReadFile((*cluster)->user_token());
  EXPECT_NE(secret, first);
  EXPECT_EQ(entries[1].sha256, Sha256Hex(secret.substr(0, secret.size() - 1)));
}

TEST_F(LocalClusterTest, StartsAServerAgainOnItsPort) {
  auto cluster = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->Start().ok());
  const pid_t before = Info()["pids"]["coordinator"];
  ASSERT_EQ(kill(before, SIGKILL), 0);
  // The command waits for the new process and for the arguments that it records, and ends with its own exit code.
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
  WriteServer("coordinator", "#!/bin/sh\necho 'the journal has a newer version' >&2\nexit 1\n");
  auto cluster = LocalCluster::Create(Options(), RealClock());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const absl::Status status = (*cluster)->Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("muster-coordinator ended: exit code 1: the journal has a newer version"));
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
