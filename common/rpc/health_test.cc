#include "common/rpc/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/errors.h"
#include "common/rpc/security.h"
#include "muster/v1/blob.grpc.pb.h"

namespace muster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

std::shared_ptr<grpc::Channel> PlainChannel(int port) {
  return *MakeChannel(absl::StrCat("127.0.0.1:", port), {.insecure = true});
}

// Polls: the state of "live" follows within a quarter of live_within.
bool Becomes(int port, const std::string& service, bool serving) {
  const auto channel = PlainChannel(port);
  const absl::Duration deadline = RealClock().Monotonic() + kPatience;
  while (RealClock().Monotonic() < deadline) {
    const auto answer = CheckHealth(channel, service, absl::Seconds(5));
    if (answer.ok() && *answer == serving) return true;
  }
  return false;
}

std::unique_ptr<HealthServer> Started(absl::Duration live_within) {
  auto health = HealthServer::Start({.address = "127.0.0.1:0", .live_within = live_within});
  EXPECT_TRUE(health.ok()) << health.status();
  return *std::move(health);
}

TEST(HealthServerTest, IsNotReadyUntilItIsSetReady) {
  const auto health = Started(absl::Seconds(15));
  const auto channel = PlainChannel(health->port());
  EXPECT_FALSE(CheckHealth(channel, "", kPatience).value());
  EXPECT_TRUE(CheckHealth(channel, "live", kPatience).value()) << "what starts is alive";
  health->SetReady(true, "listens");
  EXPECT_TRUE(CheckHealth(channel, "", kPatience).value());
  health->SetReady(false, "shuts down");
  EXPECT_FALSE(CheckHealth(channel, "", kPatience).value());
  EXPECT_TRUE(CheckHealth(channel, "live", kPatience).value()) << "what shuts down is alive";
}

TEST(HealthServerTest, IsDeadWhenTheBeatsStopAndAliveWhenTheyComeAgain) {
  const auto health = Started(absl::Milliseconds(200));
  health->Beat();
  ASSERT_TRUE(Becomes(health->port(), "live", false));
  health->Beat();
  // A beat counts for only 200 ms: keep beating while asking.
  const auto channel = PlainChannel(health->port());
  const absl::Duration deadline = RealClock().Monotonic() + kPatience;
  bool alive = false;
  while (!alive && RealClock().Monotonic() < deadline) {
    health->Beat();
    alive = CheckHealth(channel, "live", kPatience).value();
  }
  EXPECT_TRUE(alive);
}

TEST(HealthServerTest, StartingTakesItsTime) {
  const auto health = Started(absl::Milliseconds(50));
  const auto channel = PlainChannel(health->port());
  const absl::Duration until = RealClock().Monotonic() + absl::Milliseconds(300);
  while (RealClock().Monotonic() < until) ASSERT_TRUE(CheckHealth(channel, "live", kPatience).value());
}

TEST(HealthServerTest, ServesNothingElse) {
  const auto health = Started(absl::Seconds(15));
  const auto channel = PlainChannel(health->port());
  grpc::ClientContext context;
  muster::v1::StatBlobsResponse response;
  const grpc::Status status = muster::v1::BlobService::NewStub(channel)->StatBlobs(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(CheckHealth(channel, "muster.v1.JobService", kPatience).status().code(), absl::StatusCode::kNotFound);
}

TEST(HealthServerTest, WithoutAnAddressNothingListens) {
  const auto health = HealthServer::Start({});
  ASSERT_TRUE(health.ok());
  EXPECT_EQ((*health)->port(), 0);
  (*health)->SetReady(true, "nobody asks");
  (*health)->Beat();
}

TEST(HealthServerTest, ATakenPortIsNamedWithTheRemedy) {
  const auto first = Started(absl::Seconds(15));
  const auto second = HealthServer::Start({.address = absl::StrCat("127.0.0.1:", first->port())});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr("--health"));
}

}  // namespace
}  // namespace muster
