#include "coordinator/data/service/share_queue.h"

#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/notification.h"

namespace muster {
namespace {

using muster::internal::v1::StepShare;

StepShare ShareOf(uint64_t step, size_t bytes = 0) {
  StepShare share;
  share.set_step(step);
  if (bytes > 0) share.add_micro_batches()->set_tokens(std::string(bytes, 'x'));
  return share;
}

TEST(ShareQueue, GivesAllStepsInOrderAndThenTheEnd) {
  ShareQueue queue(3, 200, [](uint64_t step) { return ShareOf(step); });
  for (uint64_t step = 3; step < 200; ++step) {
    const auto share = queue.Pop(absl::InfiniteDuration());
    ASSERT_TRUE(share.ok());
    ASSERT_EQ((*share)->step(), step);
  }
  EXPECT_TRUE(absl::IsOutOfRange(queue.Pop(absl::InfiniteDuration()).status()));
  EXPECT_TRUE(absl::IsOutOfRange(queue.Pop(absl::InfiniteDuration()).status()));
}

// Plans until `full` shares are waiting, then notifies; the planner cannot continue until something is popped.
void ExpectPlannedAhead(size_t bytes, uint64_t full) {
  std::atomic<uint64_t> planned = 0;
  absl::Notification reached;
  ShareQueue queue(0, 1000, [&](uint64_t step) {
    if (++planned == full) reached.Notify();
    return ShareOf(step, bytes);
  });
  reached.WaitForNotification();
  // The share that was just planned waits for space: one more is planned only after one was taken.
  EXPECT_EQ(planned, full);
  ASSERT_TRUE(queue.Pop(absl::InfiniteDuration()).ok());
}

TEST(ShareQueue, PlansNoMoreStepsAheadThanItMay) { ExpectPlannedAhead(0, ShareQueue::kMaxSteps + 1); }

TEST(ShareQueue, PlansNoMoreBytesAheadThanItMay) {
  ExpectPlannedAhead(ShareQueue::kMaxBytes / 4 + 1, 5);
}

TEST(ShareQueue, GivesTheErrorAfterTheSharesBeforeIt) {
  ShareQueue queue(0, 10, [](uint64_t step) -> absl::StatusOr<StepShare> {
    if (step == 2) return absl::DataLossError("step 2");
    return ShareOf(step);
  });
  EXPECT_EQ(queue.Pop(absl::InfiniteDuration()).value()->step(), 0u);
  EXPECT_EQ(queue.Pop(absl::InfiniteDuration()).value()->step(), 1u);
  EXPECT_EQ(queue.Pop(absl::InfiniteDuration()).status().message(), "step 2");
}

TEST(ShareQueue, HasNothingYetWhileAStepIsPlanned) {
  absl::Notification go;
  ShareQueue queue(0, 1, [&](uint64_t step) {
    go.WaitForNotification();
    return ShareOf(step);
  });
  EXPECT_EQ(queue.Pop(absl::ZeroDuration()).value(), std::nullopt);
  go.Notify();
  EXPECT_TRUE(queue.Pop(absl::InfiniteDuration()).value().has_value());
}

}  // namespace
}  // namespace muster
