#include "common/process/disk_worker.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/synchronization/notification.h"

namespace muster {
namespace {

TEST(DiskWorker, DoesItsWorkInOrderAndAllOfItBeforeItEnds) {
  std::vector<int> done;
  {
    DiskWorker disk;
    for (int i = 0; i < 100; ++i) disk.Post([&done, i] { done.push_back(i); });
  }
  ASSERT_EQ(done.size(), 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[i], i);
}

TEST(DiskWorker, DoesNotKeepItsCallersWaitingForASlowDisk) {
  absl::Notification disk_answers;
  int written = 0;
  {
    DiskWorker disk(/*max_bytes=*/100);
    disk.Post([&] { disk_answers.WaitForNotification(); });
    EXPECT_TRUE(disk.TryPost(60, [&] { ++written; }));
    EXPECT_FALSE(disk.TryPost(60, [&] { ++written; })) << "more than its bound waits";
    disk.Post([&] { ++written; });
    disk_answers.Notify();
  }
  EXPECT_EQ(written, 2);
}

}  // namespace
}  // namespace muster
