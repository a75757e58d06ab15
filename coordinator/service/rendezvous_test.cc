#include "coordinator/service/rendezvous.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "absl/synchronization/notification.h"

namespace muster {
namespace {

using muster::internal::v1::RendezvousRequest;
using muster::internal::v1::RendezvousResponse;

const auto kHere = [] { return false; };

RendezvousRequest Request(uint32_t attempt = 1) {
  RendezvousRequest request;
  request.set_job_id("a");
  request.set_attempt(attempt);
  return request;
}
RendezvousRequest Set(const std::string& key, const std::string& value) {
  RendezvousRequest request = Request();
  request.mutable_set()->set_key(key);
  request.mutable_set()->set_value(value);
  return request;
}
RendezvousRequest Get(const std::vector<std::string>& keys, uint32_t milliseconds) {
  RendezvousRequest request = Request();
  for (const std::string& key : keys) request.mutable_get()->add_keys(key);
  request.mutable_get()->set_timeout_milliseconds(milliseconds);
  return request;
}

absl::StatusOr<RendezvousResponse> Do(RendezvousStore& store, const RendezvousRequest& request,
                                      const std::function<bool()>& gone, const std::string& worker = "w1") {
  return store.Do(request, {Role::kWorker, worker, Proof::kCertificate}, gone);
}

TEST(Rendezvous, IsForWorkersThatHaveARankOfTheAttempt) {
  RendezvousStore store;
  store.Open("a", 1, {"w1", "gpu-0"});
  EXPECT_TRUE(Do(store, Set("x", "1"), kHere, "w1").ok());
  EXPECT_TRUE(Do(store, Set("x", "1"), kHere, "gpu-*").ok());
  for (const char* stranger : {"w2", "w*", "w1-*", "*", "gpu-1"}) {
    EXPECT_EQ(Do(store, Set("x", "1"), kHere, stranger).status().code(), absl::StatusCode::kPermissionDenied) << stranger;
  }
}

TEST(Rendezvous, WaitsUntilAllKeysExist) {
  RendezvousStore store;
  store.Open("a", 1, {"w1"});
  ASSERT_TRUE(Do(store, Set("x", "1"), kHere).ok());
  std::thread other([&] { EXPECT_TRUE(Do(store, Set("y", "2"), kHere).ok()); });
  const auto both = Do(store, Get({"x", "y"}, 10000), kHere);
  other.join();
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_TRUE(both->found());
  EXPECT_THAT(both->values(), testing::ElementsAre("1", "2"));
}

TEST(Rendezvous, RefusesASumThatDoesNotFit) {
  RendezvousStore store;
  store.Open("a", 1, {"w1"});
  RendezvousRequest add = Request();
  add.mutable_add()->set_key("n");
  add.mutable_add()->set_amount(std::numeric_limits<int64_t>::max());
  ASSERT_TRUE(Do(store, add, kHere).ok());
  EXPECT_EQ(Do(store, add, kHere).status().code(), absl::StatusCode::kInvalidArgument);
  add.mutable_add()->set_amount(0);
  EXPECT_EQ(Do(store, add, kHere)->number(), std::numeric_limits<int64_t>::max());
}

TEST(Rendezvous, FindsNothingWhenTheTimeHasPassed) {
  RendezvousStore store;
  store.Open("a", 1, {"w1"});
  const auto none = Do(store, Get({"x"}, 1), kHere);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->found());
}

TEST(Rendezvous, RefusesAttemptsThatDoNotRun) {
  RendezvousStore store;
  store.Open("a", 2, {"w1"});
  EXPECT_EQ(Do(store, Set("x", "1"), kHere).status().code(), absl::StatusCode::kFailedPrecondition);
  store.Close("a", 2);
  EXPECT_EQ(Do(store, Request(2), kHere).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Rendezvous, WakesWhoWaitsWhenTheAttemptEnds) {
  RendezvousStore store;
  store.Open("a", 1, {"w1"});
  absl::Notification waits;
  std::thread other([&] {
    waits.WaitForNotification();
    store.Close("a", 1);
  });
  const auto ended = Do(store, Get({"x"}, 30000), [&] {
    if (!waits.HasBeenNotified()) waits.Notify();
    return false;
  });
  other.join();
  EXPECT_EQ(ended.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Rendezvous, EndsTheWaitOfACallerThatHasLeft) {
  RendezvousStore store;
  store.Open("a", 1, {"w1"});
  EXPECT_EQ(Do(store, Get({"x"}, 30000), [] { return true; }).status().code(), absl::StatusCode::kCancelled);
}

TEST(Rendezvous, AddsComparesDeletesAndCounts) {
  RendezvousStore store;
  store.Open("a", 1, {"w1"});
  RendezvousRequest request = Request();
  request.mutable_add()->set_key("n");
  request.mutable_add()->set_amount(2);
  EXPECT_EQ(Do(store, request, kHere)->number(), 2);
  EXPECT_EQ(Do(store, request, kHere)->number(), 4);
  EXPECT_THAT(Do(store, Get({"n"}, 0), kHere)->values(), testing::ElementsAre("4"));

  request.mutable_compare_set()->set_key("n");
  request.mutable_compare_set()->set_expected("5");
  request.mutable_compare_set()->set_desired("6");
  EXPECT_THAT(Do(store, request, kHere)->values(), testing::ElementsAre("4"));
  request.mutable_compare_set()->set_expected("4");
  EXPECT_THAT(Do(store, request, kHere)->values(), testing::ElementsAre("6"));
  request.mutable_compare_set()->set_key("absent");
  request.mutable_compare_set()->set_expected("");
  EXPECT_THAT(Do(store, request, kHere)->values(), testing::ElementsAre("6"));

  request.mutable_count();
  EXPECT_EQ(Do(store, request, kHere)->number(), 2);
  request.mutable_delete_()->set_key("n");
  EXPECT_TRUE(Do(store, request, kHere)->found());
  EXPECT_FALSE(Do(store, request, kHere)->found());
}

TEST(Rendezvous, HasLimits) {
  RendezvousStore store;
  store.Open("a", 1, {"w1"});
  EXPECT_EQ(Do(store, Set(std::string(kMaxStoreKey + 1, 'k'), ""), kHere).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Do(store, Set("k", std::string(kMaxStoreValue + 1, 'v')), kHere).status().code(),
            absl::StatusCode::kInvalidArgument);
  const std::string large(kMaxStoreValue, 'v');
  absl::Status status;
  for (int i = 0; i < 70 && status.ok(); ++i) status = Do(store, Set(std::to_string(i), large), kHere).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace muster
