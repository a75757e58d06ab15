#include "common/process/scheduling.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace muster {
namespace {

TEST(Scheduling, ThreadsHaveThePolicyOfTheThreadThatStartsThem) {
  std::thread([] {
    WakeWithoutInterrupting();
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    std::thread([] {
      EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
      WakeAtOnce();
      EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    }).join();
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
  }).join();
}

}  // namespace
}  // namespace muster
