#include "coordinator/data/service/once_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "absl/synchronization/notification.h"

namespace muster {
namespace {

absl::Status Never() { return absl::OkStatus(); }

TEST(OnceCache, MakesOnceForAllWhoAsk) {
  OnceCache<int> cache(4);
  std::atomic<int> made = 0;
  absl::Notification go;
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto value = cache.Get("k", [&]() -> absl::StatusOr<std::shared_ptr<int>> {
        go.WaitForNotification();
        return std::make_shared<int>(++made);
      }, Never);
      right += value.ok() && **value == 1;
    });
  }
  go.Notify();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(right, 8);
}

TEST(OnceCache, MakesItAgainAfterAnError) {
  OnceCache<int> cache(4);
  const auto fails = []() -> absl::StatusOr<std::shared_ptr<int>> { return absl::NotFoundError("x"); };
  const auto works = []() -> absl::StatusOr<std::shared_ptr<int>> { return std::make_shared<int>(7); };
  EXPECT_EQ(cache.Get("k", fails, Never).status().message(), "x");
  EXPECT_EQ(**cache.Get("k", works, Never), 7);
  EXPECT_EQ(**cache.Get("k", fails, Never), 7);
}

TEST(OnceCache, ACallerThatGivesUpLeavesTheWorkToOthers) {
  OnceCache<int> cache(4);
  absl::Notification go;
  const auto slow = [&]() -> absl::StatusOr<std::shared_ptr<int>> {
    go.WaitForNotification();
    return std::make_shared<int>(7);
  };
  int asked = 0;
  EXPECT_TRUE(absl::IsCancelled(
      cache.Get("k", slow, [&] { return ++asked > 1 ? absl::CancelledError("gone") : absl::OkStatus(); }).status()));
  go.Notify();
  const auto fails = []() -> absl::StatusOr<std::shared_ptr<int>> { return absl::NotFoundError("x"); };
  EXPECT_EQ(**cache.Get("k", fails, Never), 7);
}

TEST(OnceCache, ForgetsWhatWasAskedForLongestAgo) {
  OnceCache<int> cache(2);
  std::atomic<int> made = 0;
  const auto make = [&]() -> absl::StatusOr<std::shared_ptr<int>> { return std::make_shared<int>(++made); };
  const auto first = cache.Get("a", make, Never).value();
  EXPECT_EQ(**cache.Get("b", make, Never), 2);
  EXPECT_EQ(**cache.Get("a", make, Never), 1);
  EXPECT_EQ(**cache.Get("c", make, Never), 3);  // replaces b
  EXPECT_EQ(**cache.Get("a", make, Never), 1);
  EXPECT_EQ(**cache.Get("b", make, Never), 4);
  EXPECT_EQ(*first, 1);
}

TEST(OnceCache, DropsWhatNobodyElseHoldsWhenAskedTo) {
  OnceCache<int> cache(4);
  const auto make = []() -> absl::StatusOr<std::shared_ptr<int>> { return std::make_shared<int>(7); };
  const auto held = cache.Get("held", make, Never).value();
  const std::weak_ptr<int> unused = cache.Get("unused", make, Never).value();
  EXPECT_FALSE(unused.expired());
  cache.DropUnused();
  EXPECT_TRUE(unused.expired());
  EXPECT_EQ(cache.Get("held", make, Never).value(), held);
}

}  // namespace
}  // namespace muster
