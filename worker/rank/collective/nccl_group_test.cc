// Tests NcclGroup on fake_nccl, whose ranks are threads. NCCL itself: tests/gpu.
#include "worker/rank/collective/nccl_group.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <latch>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "absl/synchronization/notification.h"
#include "common/clock.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

constexpr int64_t kWorld = 3;

// Runs ranks as threads, except the rank `absent`.
std::vector<absl::Status> RunRanks(absl::Duration timeout, const std::function<absl::Status(Group&)>& body,
                                   int64_t absent = -1, bool fixed_order = true) {
  fake_nccl::World& world = fake_nccl::TheWorld();
  world.aborted = world.destroyed = 0;
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<absl::Status> results(kWorld);
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < kWorld; ++rank) {
    if (rank == absent) continue;
    threads.emplace_back([&, rank] {
      auto group = MakeNcclGroup({.store = store,
                                  .rank = rank,
                                  .world_size = kWorld,
                                  .timeout = timeout,
                                  .fixed_order_of_sums = fixed_order},
                                 at::kCPU);
      results[rank] = group.ok() ? body(**group) : group.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

TEST(NcclGroup, OperationsOfEveryTypeGiveWhatAGroupPromises) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kLong, at::kByte}) {
    const std::vector<int64_t> counts = {2, 0, 3};
    const auto statuses = RunRanks(absl::Minutes(1), [&](Group& group) -> absl::Status {
      const int64_t r = group.rank();
      const auto rows = group.AllGatherRows(at::full({counts[r], 2}, static_cast<double>(r + 1), type), counts);
      if (!rows.ok()) return rows.status();
      // Rank 0's two rows of 1, then rank 2's three rows of 3.
      EXPECT_TRUE(at::equal(rows->to(at::kLong).select(1, 0), at::arange(5, at::kLong).ge(2).to(at::kLong) * 2 + 1));
      const auto own = group.ReduceScatterRowsSum((at::arange(5, at::kLong) * (r + 1)).to(type).unsqueeze(1), counts);
      if (!own.ok()) return own.status();
      const int64_t first = r == 0 ? 0 : 2;
      EXPECT_TRUE(at::equal(own->to(at::kLong).flatten(), at::arange(first, first + counts[r], at::kLong) * 6));
      std::vector<at::Tensor> sums = {at::full({3}, static_cast<double>(r), type), at::full({}, 2.0, type)};
      if (const absl::Status status = group.AllReduceSum(sums); !status.ok()) return status;
      EXPECT_TRUE(at::equal(sums[0].to(at::kLong), at::full({3}, 3, at::kLong)));
      EXPECT_EQ(sums[1].to(at::kLong).item<int64_t>(), 6);
      const auto words = group.AllGatherBytes(std::string(r, 'x'));
      if (!words.ok()) return words.status();
      EXPECT_THAT(*words, testing::ElementsAre("", "x", "xx"));
      return absl::OkStatus();
    });
    for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(fake_nccl::TheWorld().destroyed, kWorld);
    EXPECT_EQ(fake_nccl::TheWorld().aborted, 0);
  }
}

TEST(NcclGroup, AnErrorOfAPeerEndsTheOperationAndEveryLaterOneAtOnce) {
  fake_nccl::TheWorld().notice_aborts = true;
  const auto statuses = RunRanks(absl::Minutes(1), [](Group& group) -> absl::Status {
    std::vector<at::Tensor> one = {at::full({4}, 1.0, group.rank() == 1 ? at::kHalf : at::kFloat)};
    const absl::Status status = group.AllReduceSum(one);  // rank 1 cannot send its type and leaves
    const int calls = fake_nccl::CallsOfThisThread();
    EXPECT_EQ(group.Barrier(), status);
    EXPECT_EQ(fake_nccl::CallsOfThisThread(), calls) << "a refused operation does not reach NCCL";
    return status;
  });
  fake_nccl::TheWorld().notice_aborts = false;
  for (const int r : {0, 2}) {
    EXPECT_EQ(statuses[r].code(), absl::StatusCode::kUnavailable);
    // Rank 1 may leave before the others have joined: then their join fails instead.
    EXPECT_THAT(std::string(statuses[r].message()),
                MatchesRegex("collective failed: (join|all-reduce): remote process exited or there was a network error: "
                             "socket closed; by peer"));
  }
  EXPECT_THAT(std::string(statuses[1].message()), HasSubstr("Half are not sent through NCCL"));
  EXPECT_EQ(fake_nccl::TheWorld().aborted, kWorld);
  EXPECT_EQ(fake_nccl::TheWorld().destroyed, 0);
}

TEST(NcclGroup, APeerThatStaysAwayEndsTheOperationAtItsDeadline) {
  const absl::Duration timeout = absl::Milliseconds(300);
  const auto statuses = RunRanks(timeout, [&](Group& group) -> absl::Status {
    if (group.rank() == 2) return absl::CancelledError("left");
    const absl::Duration start = RealClock().Monotonic();
    const absl::Status status = group.Barrier();
    EXPECT_GE(RealClock().Monotonic() - start, timeout);
    return status;
  });
  for (const int r : {0, 1}) {
    EXPECT_EQ(statuses[r].code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(statuses[r].message(),
              "collective failed: all-gather of bytes: a rank did not arrive within 300ms");
  }
  EXPECT_EQ(fake_nccl::TheWorld().aborted, 2);
}

TEST(NcclGroup, AMeetingWithoutAllRanksEndsAtItsDeadline) {
  for (const int64_t absent : {0, 2}) {  // rank 0 makes the id
    const auto statuses = RunRanks(absl::Milliseconds(300), [](Group&) { return absl::OkStatus(); }, absent);
    for (int64_t r = 0; r < kWorld; ++r) {
      if (r == absent) continue;
      EXPECT_EQ(statuses[r].code(), absl::StatusCode::kUnavailable);
      EXPECT_THAT(std::string(statuses[r].message()), StartsWith("collective failed: join: "));
    }
    EXPECT_EQ(fake_nccl::TheWorld().aborted, absent == 0 ? 0 : 2);
  }
}

TEST(NcclGroup, ABrokenGpuIsAFailedOperation) {
  const auto statuses = RunRanks(absl::Minutes(1), [](Group& group) -> absl::Status {
    fake_nccl::TheWorld().broken_gpu = true;
    return group.Barrier();
  });
  fake_nccl::TheWorld().broken_gpu = false;
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(status.message(), "collective failed: all-gather of bytes: CUDA: unspecified launch failure");
  }
}

// Until the abort, NCCL reads and writes the tensors of an operation that this rank has abandoned, as slower peers join it.
TEST(NcclGroup, TensorsOfAFailedOperationLiveUntilTheAbort) {
  std::latch joined(kWorld);
  absl::Notification left, given_up;  // rank 1 has left; rank 0 has given up
  std::atomic<bool> freed{false}, freed_at_the_abort{true};
  float values[4] = {};
  fake_nccl::TheWorld().notice_aborts = true;
  const auto statuses = RunRanks(absl::Minutes(1), [&](Group& group) -> absl::Status {
    joined.arrive_and_wait();  // rank 1 must not leave while another is still in its join
    if (group.rank() == 1) {
      std::vector<at::Tensor> unsendable = {at::full({4}, 1.0, at::kHalf)};
      const absl::Status status = group.AllReduceSum(unsendable);
      left.Notify();
      return status;
    }
    if (group.rank() == 2) {
      given_up.WaitForNotification();
      return absl::OkStatus();
    }
    left.WaitForNotification();
    fake_nccl::TheWorld().before_abort = [&] { freed_at_the_abort = freed.load(); };  // only this rank's abort runs now
    const auto pending = group.StartAllReduceSum(at::from_blob(values, {4}, [&](void*) { freed = true; }, at::kFloat));
    fake_nccl::TheWorld().before_abort = nullptr;
    given_up.Notify();
    return pending->Wait();
  });
  fake_nccl::TheWorld().notice_aborts = false;
  EXPECT_THAT(std::string(statuses[0].message()), HasSubstr("remote process exited"));
  EXPECT_FALSE(freed_at_the_abort);
  EXPECT_TRUE(freed);
}

// Only events order the work of the ranks' streams. The test double enforces no other order.
TEST(NcclGroup, OperationsAreOrderedWithTheWorkOfTheCallersStreamByEvents) {
  const std::vector<int64_t> counts = {2, 0, 3};
  const auto statuses = RunRanks(absl::Minutes(1), [&](Group& group) -> absl::Status {
    testing_streams::StreamOrder& order = fake_nccl::OrderOfThisThread();
    const auto write = [&](const at::Tensor& t) { order.Write(0, t.const_data_ptr(), t.nbytes(), "a result of the encoder"); };
    const auto read = [&](const at::Tensor& t) { order.Read(0, t.const_data_ptr(), t.nbytes(), "what the loss reads"); };
    const at::Tensor all = at::full({5, 2}, 1.0, at::kFloat), bucket = at::full({7}, 1.0, at::kFloat);
    std::vector<at::Tensor> pieces = {all.narrow(0, 0, 2), all.narrow(0, 2, 0), all.narrow(0, 2, 3)};
    write(pieces[group.rank()]);
    const auto gather = group.StartAllGather(pieces);
    write(bucket);  // the caller's stream continues during the gather
    const auto reduce = group.StartAllReduceSum(bucket);
    if (const absl::Status status = gather->Wait(); !status.ok()) return status;
    read(all);
    if (const absl::Status status = reduce->Wait(); !status.ok()) return status;
    read(bucket);
    write(all);
    const auto own = group.ReduceScatterRowsSum(all, counts);
    if (!own.ok()) return own.status();
    read(*own);
    EXPECT_THAT(order.faults(), testing::IsEmpty());
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

// Checks that the test double notices a missing event.
TEST(NcclGroup, AReadBeforeTheOperationHasEndedIsFound) {
  const auto statuses = RunRanks(absl::Minutes(1), [&](Group& group) -> absl::Status {
    testing_streams::StreamOrder& order = fake_nccl::OrderOfThisThread();
    const at::Tensor bucket = at::full({7}, 1.0, at::kFloat);
    const auto reduce = group.StartAllReduceSum(bucket);
    order.Read(0, bucket.const_data_ptr(), bucket.nbytes(), "the gradient");
    EXPECT_THAT(order.faults(), testing::ElementsAre("stream 0 reads the gradient, which stream 1 may still be writing (the "
                                                     "values of an all-reduce)"));
    return reduce->Wait();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST(NcclGroup, UnequalCountsBringNoPadding) {
  const std::vector<int64_t> counts = {1, 0, 40};
  const auto statuses = RunRanks(absl::Minutes(1), [&](Group& group) -> absl::Status {
    const int64_t own = counts[group.rank()], row = 4 * sizeof(float);
    size_t before = fake_nccl::BytesReceivedByThisThread();
    const auto rows = group.AllGatherRows(at::full({own, 4}, 1.0, at::kFloat), counts);
    if (!rows.ok()) return rows.status();
    EXPECT_EQ(fake_nccl::BytesReceivedByThisThread() - before, (41 - own) * row);
    before = fake_nccl::BytesReceivedByThisThread();
    if (const auto sum = group.ReduceScatterRowsSum(*rows, counts); !sum.ok()) return sum.status();
    EXPECT_EQ(fake_nccl::BytesReceivedByThisThread() - before, (kWorld - 1) * own * row);
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST(NcclGroup, FixesTheOrderOfSumsUnlessTheFastestIsAskedFor) {
  const auto meet = [](bool fixed_order) {
    unsetenv("NCCL_ALGO");
    unsetenv("NCCL_PROTO");
    RunRanks(absl::Minutes(1), [](Group&) { return absl::OkStatus(); }, /*absent=*/-1, fixed_order);
  };
  meet(/*fixed_order=*/false);
  EXPECT_EQ(std::getenv("NCCL_ALGO"), nullptr);
  EXPECT_EQ(std::getenv("NCCL_PROTO"), nullptr);
  meet(/*fixed_order=*/true);
  EXPECT_STREQ(std::getenv("NCCL_ALGO"), "Ring");
  EXPECT_STREQ(std::getenv("NCCL_PROTO"), "Simple");
}

}  // namespace
}  // namespace muster
