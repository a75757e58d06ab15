#include "coordinator/data/service/attempt_fence.h"

#include <gtest/gtest.h>

#include "common/status.h"

namespace muster {
namespace {

TEST(AttemptFence, RefusesWhatIsOlderThanTheNewestOfTheSameJob) {
  AttemptFence fence;
  EXPECT_TRUE(fence.Admit("a", 2).ok());
  EXPECT_TRUE(fence.Admit("a", 2).ok());
  EXPECT_TRUE(fence.Admit("b", 1).ok());
  const absl::Status status = fence.Admit("a", 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "job a: attempt 1 has ended, attempt 2 was seen");
  EXPECT_EQ(ReasonOf(status), "STALE_ATTEMPT");
  EXPECT_TRUE(fence.Admit("a", 3).ok());
  EXPECT_FALSE(fence.Admit("a", 2).ok());
}

TEST(AttemptFence, ForgetsTheJobsThatAskedLongestAgo) {
  AttemptFence fence;
  for (size_t i = 0; i < AttemptFence::kMaxJobs; ++i) EXPECT_TRUE(fence.Admit("j" + std::to_string(i), 2).ok());
  EXPECT_TRUE(fence.Admit("j0", 2).ok());
  EXPECT_TRUE(fence.Admit("one more", 2).ok());
  EXPECT_EQ(fence.jobs(), AttemptFence::kMaxJobs);
  EXPECT_FALSE(fence.Admit("j0", 1).ok()) << "asked lately";
  EXPECT_TRUE(fence.Admit("j1", 1).ok()) << "forgotten";
}

}  // namespace
}  // namespace muster
