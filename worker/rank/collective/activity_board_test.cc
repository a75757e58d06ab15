#include "worker/rank/collective/activity_board.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

using Entry = ActivityBoard::Entry;

// Looks at the board from inside a collective.
class LookingGroup final : public Group {
 public:
  LookingGroup(const ActivityBoard& board, Entry& seen) : board_(board), seen_(seen) {}
  int64_t rank() const override { return 0; }
  int64_t world_size() const override { return 1; }
  std::unique_ptr<Pending> StartAllGather(std::vector<at::Tensor>) override { return std::make_unique<LookingPending>(*this); }
  std::unique_ptr<Pending> StartAllReduceSum(at::Tensor) override { return std::make_unique<LookingPending>(*this); }
  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t>) override { return Look(full); }
  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) override {
    return Look(std::vector<std::string>{own});
  }

 private:
  class LookingPending final : public Pending {
   public:
    explicit LookingPending(LookingGroup& group) : group_(group) {}
    absl::Status Wait() override { return group_.Look(absl::OkStatus()); }

   private:
    LookingGroup& group_;
  };
  template <typename T>
  T Look(T result) {
    seen_ = board_.Read();
    return result;
  }
  const ActivityBoard& board_;
  Entry& seen_;
};

TEST(ActivityBoard, ShowsTheCollectiveThatARankIsInAndCountsThem) {
  ActivityBoard board;
  Entry within;
  const auto group = MakeObservedGroup(std::make_unique<LookingGroup>(board, within), board);
  board.SetStep(270);
  board.SetPhase("encode");
  EXPECT_EQ(board.Read(), (Entry{270, "encode", 0, false}));
  ASSERT_TRUE(group->StartAllGather({})->Wait().ok());
  EXPECT_EQ(within, (Entry{270, "gather", 1, true}));
  ASSERT_TRUE(group->ReduceScatterRowsSum({}, {}).ok());
  EXPECT_EQ(within, (Entry{270, "scatter", 2, true}));
  ASSERT_TRUE(group->StartAllReduceSum({})->Wait().ok());
  EXPECT_EQ(within, (Entry{270, "reduce", 3, true}));
  ASSERT_TRUE(group->Barrier().ok());
  EXPECT_EQ(within, (Entry{270, "exchange", 4, true}));
  EXPECT_EQ(board.Read(), (Entry{270, "encode", 4, false}));
}

// The others wait in an operation that a hanging rank has not started: its count is lower.
TEST(ActivityBoard, AnOperationCountsWhenItIsStartedAndIsShownWhileTheRankWaits) {
  ActivityBoard board;
  Entry within;
  const auto group = MakeObservedGroup(std::make_unique<LookingGroup>(board, within), board);
  board.SetPhase("backward");
  const auto first = group->StartAllReduceSum({}), second = group->StartAllReduceSum({});
  EXPECT_EQ(board.Read(), (Entry{0, "backward", 2, false}));
  ASSERT_TRUE(first->Wait().ok());
  EXPECT_EQ(within, (Entry{0, "reduce", 2, true}));
  ASSERT_TRUE(second->Wait().ok());
  EXPECT_EQ(board.Read(), (Entry{0, "backward", 2, false}));
}

TEST(ActivityBoard, SaysWhatItIsDoingOutsideOfSteps) {
  ActivityBoard board;
  Entry within;
  const auto group = MakeObservedGroup(std::make_unique<LookingGroup>(board, within), board);
  board.SetActivity("evaluating (untrained)");
  ASSERT_TRUE(group->Barrier().ok());
  EXPECT_EQ(within.phase, "evaluating (untrained), exchange");
  EXPECT_EQ(board.Read().phase, "evaluating (untrained)");
  board.SetPhase("data");
  EXPECT_EQ(board.Read().phase, "data");
}

}  // namespace
}  // namespace muster
