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
  absl::StatusOr<at::Tensor> AllGatherRows(const at::Tensor& own, std::span<const int64_t>) override { return Look(own); }
  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t>) override { return Look(full); }
  absl::Status AllReduceSum(std::span<at::Tensor>) override { return Look(absl::OkStatus()); }
  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) override {
    return Look(std::vector<std::string>{own});
  }

 private:
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
  ASSERT_TRUE(group->AllGatherRows({}, {}).ok());
  EXPECT_EQ(within, (Entry{270, "gather", 1, true}));
  ASSERT_TRUE(group->ReduceScatterRowsSum({}, {}).ok());
  EXPECT_EQ(within, (Entry{270, "scatter", 2, true}));
  ASSERT_TRUE(group->AllReduceSum({}).ok());
  EXPECT_EQ(within, (Entry{270, "reduce", 3, true}));
  ASSERT_TRUE(group->Barrier().ok());
  EXPECT_EQ(within, (Entry{270, "exchange", 4, true}));
  EXPECT_EQ(board.Read(), (Entry{270, "encode", 4, false}));
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
