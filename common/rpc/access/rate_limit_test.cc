#include "common/rpc/access/rate_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/errors.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::Duration kStart = absl::Hours(3);

TEST(TokenBucket, GivesTheBurstAndThenTheRate) {
  TokenBucket bucket(10, 3, kStart);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bucket.Take(kStart), absl::ZeroDuration());
  EXPECT_EQ(bucket.Take(kStart), absl::Milliseconds(100));
  EXPECT_EQ(bucket.Take(kStart + absl::Milliseconds(60)), absl::Milliseconds(40));
  EXPECT_EQ(bucket.Take(kStart + absl::Milliseconds(100)), absl::ZeroDuration());
  EXPECT_FALSE(bucket.IsFull(kStart + absl::Milliseconds(300)));
  EXPECT_TRUE(bucket.IsFull(kStart + absl::Milliseconds(400)));
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += bucket.Take(kStart + absl::Hours(1)) == absl::ZeroDuration();
  EXPECT_EQ(taken, 3) << "a pause earns one burst, not more";
}

TEST(RateLimiter, AUserIsAdmittedAfterTheAnnouncedWait) {
  RateLimiter limiter({.calls_per_second = 5, .burst = 2, .streams = 0});
  EXPECT_TRUE(limiter.Admit("ana", false, kStart).ok());
  EXPECT_TRUE(limiter.Admit("ana", false, kStart).ok());
  const absl::Status refused = limiter.Admit("ana", false, kStart);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), "RATE_LIMITED");
  EXPECT_EQ(RateLimitOf(refused), absl::Milliseconds(200));
  EXPECT_TRUE(limiter.Admit("bob", false, kStart).ok()) << "limits are a user's own";
  EXPECT_TRUE(limiter.Admit("ana", false, kStart + RateLimitOf(refused)).ok());
}

TEST(RateLimiter, StreamsCountWhileTheyRun) {
  RateLimiter limiter({.calls_per_second = 0, .streams = 2});
  EXPECT_TRUE(limiter.Admit("ana", true, kStart).ok());
  EXPECT_TRUE(limiter.Admit("ana", true, kStart).ok());
  const absl::Status refused = limiter.Admit("ana", true, kStart);
  EXPECT_EQ(ReasonOf(refused), "RATE_LIMITED");
  EXPECT_GT(RateLimitOf(refused), absl::ZeroDuration());
  EXPECT_TRUE(limiter.Admit("ana", false, kStart).ok()) << "calls that end at once are not streams";
  limiter.EndStream("ana");
  EXPECT_TRUE(limiter.Admit("ana", true, kStart).ok());
}

TEST(RateLimiter, ManyUsersCostLittleAndNoneLosesItsLimit) {
  RateLimiter limiter({.calls_per_second = 1, .burst = 1, .streams = 1});
  EXPECT_TRUE(limiter.Admit("ana", true, kStart).ok());
  for (int i = 0; i < 5000; ++i) {
    EXPECT_TRUE(limiter.Admit(std::to_string(i), false, kStart + absl::Seconds(i)).ok());
  }
  EXPECT_EQ(ReasonOf(limiter.Admit("ana", true, kStart + absl::Hours(2))), "RATE_LIMITED");
}

}  // namespace
}  // namespace muster
