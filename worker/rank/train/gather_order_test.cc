#include "worker/rank/train/gather_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/status.h"
#include "worker/rank/collective/in_process.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

using testing::HasSubstr;

StepBatch BatchOf(const Problem& problem, int64_t rank, int64_t world_size) {
  return BatchFromShare(ShareOf(problem, rank, world_size, 40), ProblemConfig(), at::kCPU).value();
}

TEST(ExchangeGatherOrder, GivesAllRanksTheSlotsOfAllInTheOrderOfTheirMicroBatches) {
  const Problem problem = MakeProblem(7, false);
  for (const int64_t world_size : {1, 2, 3, 8}) {
    std::vector<int64_t> slots, counts;
    for (int64_t rank = 0; rank < world_size; ++rank) {
      const auto own = SlotsOfRank(problem, rank, world_size);
      slots.insert(slots.end(), own.begin(), own.end());
      counts.push_back(static_cast<int64_t>(own.size()));
    }
    const auto statuses = RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
      const auto order = ExchangeGatherOrder(group, BatchOf(problem, group.rank(), world_size));
      RETURN_IF_ERROR(order.status());
      EXPECT_EQ(order->slots, slots);
      EXPECT_EQ(order->rank_counts, counts);
      return absl::OkStatus();
    });
    for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  }
}

// The error of two ranks if one of them has spoiled its batch. It is the same on both.
absl::Status AnswerAfter(const std::function<void(StepBatch&)>& spoil) {
  const Problem problem = MakeProblem(7, false);
  const auto statuses = RunInProcessRanks(2, [&](Group& group) -> absl::Status {
    StepBatch batch = BatchOf(problem, group.rank(), 2);
    if (group.rank() == 1) spoil(batch);
    return ExchangeGatherOrder(group, batch).status();
  });
  EXPECT_EQ(statuses[0], statuses[1]);
  EXPECT_EQ(ReasonOf(statuses[0]), kRanksDisagree) << statuses[0];
  return statuses[0];
}

TEST(ExchangeGatherOrder, RefusesSequencesThatTwoRanksEncodeOrNone) {
  const auto message = [](const std::function<void(StepBatch&)>& spoil) { return std::string(AnswerAfter(spoil).message()); };
  EXPECT_THAT(message([](StepBatch& batch) { batch.micro_batches.front().slots[0] = 0; }), HasSubstr("by two ranks"));
  EXPECT_THAT(message([](StepBatch& batch) { batch.micro_batches.pop_back(); }), HasSubstr("by no rank"));
  EXPECT_THAT(message([](StepBatch& batch) { batch.micro_batches.front().slots[0] = 24; }), HasSubstr("another batch"));
}

TEST(ExchangeGatherOrder, RefusesAnotherStepAndAnotherPlan) {
  EXPECT_THAT(std::string(AnswerAfter([](StepBatch& batch) { ++batch.step; }).message()), HasSubstr("the data servers differ"));
  EXPECT_THAT(std::string(AnswerAfter([](StepBatch& batch) { ++batch.plan_digest; }).message()),
              HasSubstr("rank 1 holds step 3 with plan 000000000000004e"));
}

}  // namespace
}  // namespace muster
