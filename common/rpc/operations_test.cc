#include "common/rpc/operations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::Operation;
using testing::HasSubstr;

const Principal kAda = {.role = Role::kSubmitter, .name = "ada"};
const Principal kBob = {.role = Role::kSubmitter, .name = "bob"};
const Principal kOperator = {.role = Role::kOperator, .name = "ops"};

class OperationsTest : public testing::Test {
 protected:
  std::unique_ptr<Operations::Handle> Import(const std::string& name, std::function<void()> interrupt = [] {}) {
    return operations_.Begin({.kind = muster::v1::OPERATION_KIND_IMPORT,
                              .subject = name,
                              .owner = "ada",
                              .total_bytes = 100,
                              .interrupt = std::move(interrupt)});
  }
  Operation Get(const std::string& id) { return operations_.Get(id).value(); }

  Operations operations_{RealClock()};
};

TEST_F(OperationsTest, ShowsHowFarTheWorkIsAndWhatItBrought) {
  const auto import = Import("faq");
  EXPECT_THAT(import->id(), testing::StartsWith("import-"));
  import->Report({.activity = "reading", .done = 0.25, .bytes = 25, .items = 3});
  Operation running = Get(import->id());
  EXPECT_EQ(running.phase(), muster::v1::OPERATION_PHASE_RUNNING);
  EXPECT_EQ(running.subject(), "faq");
  EXPECT_EQ(running.owner(), "ada");
  EXPECT_EQ(running.reason(), "reading");
  EXPECT_EQ(running.done(), 0.25);
  EXPECT_EQ(running.bytes(), 25u);
  EXPECT_EQ(running.total_bytes(), 100u);
  EXPECT_EQ(running.items(), 3u);
  EXPECT_TRUE(running.has_started());
  EXPECT_FALSE(running.has_ended());
  EXPECT_TRUE(import->End(absl::OkStatus(), "imported 3 queries").ok());
  const Operation ended = Get(import->id());
  EXPECT_EQ(ended.phase(), muster::v1::OPERATION_PHASE_SUCCEEDED);
  EXPECT_EQ(ended.reason(), "imported 3 queries");
  EXPECT_EQ(ended.done(), 1);
  EXPECT_TRUE(ended.has_ended());
}

TEST_F(OperationsTest, AFailureIsTheReason) {
  const auto import = Import("faq");
  const absl::Status status = absl::InvalidArgumentError("a.jsonl:3: no query");
  EXPECT_EQ(import->End(status, ""), status);
  EXPECT_EQ(Get(import->id()).phase(), muster::v1::OPERATION_PHASE_FAILED);
  EXPECT_EQ(Get(import->id()).reason(), "a.jsonl:3: no query");
  const auto left = Import("left");
  left->End(absl::CancelledError("the client cancelled the call"), "").IgnoreError();
  EXPECT_EQ(Get(left->id()).phase(), muster::v1::OPERATION_PHASE_CANCELED);
  std::string id;
  { id = Import("dropped")->id(); }
  EXPECT_EQ(Get(id).phase(), muster::v1::OPERATION_PHASE_FAILED) << "whoever worked on it is gone";
}

TEST_F(OperationsTest, ACanceledOneStopsWhereItLooksAndSaysWhoCanceledIt) {
  const auto import = Import("faq");
  absl::Notification begun;
  absl::Status answer;
  std::thread work([&] {
    begun.Notify();
    while (import->Check().ok()) import->Report({.activity = "reading"});
    answer = import->End(import->Check(), "");
  });
  begun.WaitForNotification();
  const auto canceled = operations_.Cancel(import->id(), kOperator, "");
  work.join();
  ASSERT_TRUE(canceled.ok()) << canceled.status();
  EXPECT_EQ(canceled->phase(), muster::v1::OPERATION_PHASE_CANCELED);
  EXPECT_EQ(canceled->reason(), "canceled by ops");
  EXPECT_TRUE(absl::IsAborted(answer));
  EXPECT_EQ(ReasonOf(answer), "OPERATION_CANCELED");
  EXPECT_TRUE(operations_.Cancel(import->id(), kOperator, "").ok()) << "again";
}

TEST_F(OperationsTest, WhatWaitsIsInterrupted) {
  absl::Notification interrupted;
  const auto import = Import("faq", [&] { interrupted.Notify(); });
  std::thread work([&] {
    interrupted.WaitForNotification();
    import->End(absl::CancelledError("the call is gone"), "").IgnoreError();
  });
  const auto canceled = operations_.Cancel(import->id(), kAda, "");
  work.join();
  ASSERT_TRUE(canceled.ok()) << canceled.status();
  EXPECT_EQ(Get(import->id()).reason(), "canceled by ada") << "not what it met on its way out";
}

TEST_F(OperationsTest, OthersMayNotCancelItAndEndedOperationsDoNotChange) {
  const auto import = Import("faq");
  const absl::Status refused = operations_.Cancel(import->id(), kBob, "").status();
  EXPECT_TRUE(absl::IsPermissionDenied(refused));
  EXPECT_EQ(ReasonOf(refused), "NOT_OWNER");
  EXPECT_TRUE(import->Check().ok());
  import->End(absl::OkStatus(), "done").IgnoreError();
  EXPECT_TRUE(absl::IsFailedPrecondition(operations_.Cancel(import->id(), kAda, "").status()));
  EXPECT_TRUE(absl::IsNotFound(operations_.Cancel("import-nothing", kAda, "").status()));
}

TEST_F(OperationsTest, ARequestIdCancelsOneOperationOnce) {
  const auto first = Import("a", [] {}), second = Import("b", [] {});
  std::thread work([&] {
    while (first->Check().ok()) std::this_thread::yield();
    first->End(absl::OkStatus(), "it was too late").IgnoreError();
  });
  ASSERT_TRUE(operations_.Cancel(first->id(), kAda, "r1").ok());
  work.join();
  EXPECT_EQ(Get(first->id()).phase(), muster::v1::OPERATION_PHASE_SUCCEEDED);
  EXPECT_TRUE(operations_.Cancel(first->id(), kAda, "r1").ok()) << "the first answer, though it has ended";
  EXPECT_EQ(ReasonOf(operations_.Cancel(second->id(), kAda, "r1").status()), "REQUEST_ID_REUSED");
  EXPECT_TRUE(second->Check().ok());
  EXPECT_TRUE(absl::IsInvalidArgument(operations_.Cancel(second->id(), kAda, std::string(129, 'x')).status()));
}

TEST_F(OperationsTest, ListsPagesAndForgetsTheOldestThatEnded) {
  const auto running = Import("running");
  std::string oldest;
  for (size_t i = 0; i <= kMostEndedOperations; ++i) {
    const auto import = Import(absl::StrCat("ended-", i));
    if (i == 0) oldest = import->id();
    import->End(absl::OkStatus(), "").IgnoreError();
  }
  EXPECT_TRUE(absl::IsNotFound(operations_.Get(oldest).status()));
  muster::v1::ListOperationsRequest request;
  request.set_page_size(150);
  size_t seen = 0;
  std::string before;
  do {
    const auto page = operations_.List(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const Operation& operation : page->operations()) {
      EXPECT_LT(before, operation.id());
      before = operation.id();
      ++seen;
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen, kMostEndedOperations + 1);
  request.set_active_only(true);
  const auto active = operations_.List(request);
  ASSERT_EQ(active->operations_size(), 1);
  EXPECT_EQ(active->operations(0).id(), running->id());
}

}  // namespace
}  // namespace muster
