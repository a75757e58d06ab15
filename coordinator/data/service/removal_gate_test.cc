#include "coordinator/data/service/removal_gate.h"

#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"

namespace muster {
namespace {

TEST(RemovalGate, RefusesRemovalsWhileSomebodyHolds) {
  RemovalGate gate;
  RemovalGate::Pass first = gate.Hold();
  RemovalGate::Pass second = gate.Hold();
  EXPECT_TRUE(absl::IsUnavailable(gate.BeginRemoval().status()));
  first.reset();
  EXPECT_TRUE(absl::IsUnavailable(gate.BeginRemoval().status())) << "the second one holds still";
  second.reset();
  EXPECT_TRUE(gate.BeginRemoval().ok());
}

TEST(RemovalGate, HoldWaitsForARemovalThatRuns) {
  RemovalGate gate;
  absl::StatusOr<RemovalGate::Pass> removal = gate.BeginRemoval();
  ASSERT_TRUE(removal.ok());
  absl::Notification held;
  std::thread holder([&] {
    const RemovalGate::Pass hold = gate.Hold();
    held.Notify();
  });
  // The holder announces itself before it waits: from then on no other removal begins.
  while (gate.BeginRemoval().ok()) std::this_thread::yield();
  EXPECT_FALSE(held.HasBeenNotified());
  removal->reset();
  held.WaitForNotification();
  holder.join();
}

}  // namespace
}  // namespace muster
