#include "common/rpc/reachability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/rpc/blobs.h"
#include "common/rpc/security.h"

namespace muster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

class Server {
 public:
  void Start() {
    auto started = RpcServer::Start({.address = absl::StrCat("127.0.0.1:", port_), .security = {.insecure = true}, .services = {&blobs_}});
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    port_ = server_->port();
  }
  void Stop() { server_.reset(); }
  std::shared_ptr<grpc::Channel> Channel() const { return *MakeChannel(absl::StrCat("127.0.0.1:", port_), {.insecure = true}); }

 private:
  class Present final : public muster::v1::BlobService::Service {  // has every blob
    grpc::Status StatBlobs(grpc::ServerContext*, const muster::v1::StatBlobsRequest* request,
                           muster::v1::StatBlobsResponse* response) override {
      for (const std::string& digest : request->digests()) {
        response->add_blobs()->set_digest(digest);
        response->mutable_blobs()->rbegin()->set_present(true);
      }
      return grpc::Status::OK;
    }
  };
  Present blobs_;
  int port_ = 0;
  std::unique_ptr<RpcServer> server_;
};

bool Becomes(const ReachabilityWatch& watch, const std::string& unreachable) {
  const absl::Duration deadline = RealClock().Monotonic() + kPatience;
  while (watch.Unreachable() != unreachable) {
    if (RealClock().Monotonic() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

TEST(ReachabilityWatch, NamesAServerThatIsGoneWhileSomethingWaitsForIt) {
  Server server;
  server.Start();
  const auto channel = server.Channel();
  EXPECT_TRUE(Answers(channel, kPatience));
  server.Stop();
  ReachabilityWatch watch({channel, "data server d:1", absl::ZeroDuration(), absl::Milliseconds(200)});
  {
    const ReachabilityWatch::Wait wait(&watch);
    EXPECT_TRUE(Becomes(watch, "data server d:1"));
    server.Start();
    EXPECT_TRUE(Becomes(watch, ""));
    server.Stop();
    EXPECT_TRUE(Becomes(watch, "data server d:1"));
  }
  EXPECT_EQ(watch.Unreachable(), "") << "nothing waits";
}

TEST(ReachabilityWatch, NamesAServerThatIsFrozen) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);  // the kernel accepts connections, but nothing answers
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto channel = MakeChannel(absl::StrCat("127.0.0.1:", ntohs(address.sin_port)), {.insecure = true});
  ReachabilityWatch watch({*channel, "data server d:1", absl::ZeroDuration(), absl::Milliseconds(200)});
  const ReachabilityWatch::Wait wait(&watch);
  EXPECT_TRUE(Becomes(watch, "data server d:1"));
  close(listener);
}

TEST(BlobClient, WaitsForAServerThatIsAwayForLongerThanItsPatience) {
  Server server;
  server.Start();
  const auto channel = server.Channel();
  server.Stop();
  const absl::Duration patience = absl::Seconds(2);
  EXPECT_EQ(BlobClient(channel, patience).PutBytes("x").status().code(), absl::StatusCode::kUnavailable);
  ReachabilityWatch watch({channel, "data server d:1", absl::ZeroDuration(), absl::Milliseconds(200)});
  const ReachabilityWatch::Wait wait(&watch);
  ASSERT_TRUE(Becomes(watch, "data server d:1"));
  absl::Notification ended;
  absl::Status put;
  std::thread thread([&] {
    put = BlobClient(channel, patience, &watch).PutBytes("x").status();
    ended.Notify();
  });
  EXPECT_FALSE(ended.WaitForNotificationWithTimeout(2 * patience)) << put;
  server.Start();
  EXPECT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
  thread.join();
  EXPECT_TRUE(put.ok()) << put;
}

}  // namespace
}  // namespace muster
