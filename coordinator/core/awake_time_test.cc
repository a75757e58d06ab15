#include "coordinator/core/awake_time.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

absl::Time At(int seconds) { return absl::FromUnixSeconds(1000000 + seconds); }

TEST(AwakeTime, LeavesOutThePartOfAGapThatIsInside) {
  AwakeTime awake;
  awake.AddGap(At(10), At(20));
  awake.AddGap(At(30), At(50));
  EXPECT_EQ(awake.Between(At(0), At(60)), absl::Seconds(30));
  EXPECT_EQ(awake.Between(At(0), At(5)), absl::Seconds(5));
  EXPECT_EQ(awake.Between(At(15), At(60)), absl::Seconds(20));
  EXPECT_EQ(awake.Between(At(40), At(60)), absl::Seconds(10));
  EXPECT_EQ(awake.Between(At(55), At(60)), absl::Seconds(5));
}

TEST(AwakeTime, CountsGapsThatOverlapOnce) {
  AwakeTime awake;
  awake.AddGap(At(10), At(20));
  awake.AddGap(At(15), At(30));
  awake.AddGap(At(12), At(18));
  EXPECT_EQ(awake.Between(At(0), At(40)), absl::Seconds(20));
}

TEST(AwakeTime, IsNeverNegative) {
  AwakeTime awake;
  awake.AddGap(At(10), At(20));
  EXPECT_EQ(awake.Between(At(30), At(20)), absl::ZeroDuration());
}

}  // namespace
}  // namespace muster
