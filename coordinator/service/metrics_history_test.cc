#include "coordinator/service/metrics_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

using muster::v1::StepMetrics;
using testing::ElementsAre;

constexpr absl::Duration kPatience = absl::Seconds(30);

class MetricsHistoryTest : public testing::Test {
 protected:
  MetricsHistoryTest() : folder_(absl::StrCat(testing::TempDir(), "/history-", getpid(), "-", ++count_)) {}
  ~MetricsHistoryTest() override { std::filesystem::remove_all(folder_); }

  static StepMetrics Point(uint32_t attempt, uint64_t step) {
    StepMetrics point;
    point.set_attempt(attempt);
    point.set_step(step);
    point.set_loss(1.0 / static_cast<double>(step));
    return point;
  }
  static void Put(MetricsHistory& history, uint32_t attempt, const std::vector<uint64_t>& steps) {
    for (const uint64_t step : steps) history.Record("a", Point(attempt, step));
    ASSERT_TRUE(history.WaitUntilWritten(kPatience));
  }
  static std::vector<std::string> Read(const MetricsHistory& history, MetricsHistory::Cursor& cursor, size_t most = 100) {
    std::vector<std::string> found;
    const auto points = history.Read("a", most, cursor);
    EXPECT_TRUE(points.ok()) << points.status();
    for (const StepMetrics& point : *points) found.push_back(absl::StrCat(point.attempt(), ":", point.step()));
    return found;
  }

  static inline int count_ = 0;
  const std::filesystem::path folder_;
};

TEST_F(MetricsHistoryTest, KeepsNothingWhileTheDiskIsFull) {
  bool room = true;  // what the disk reports to the writer
  MetricsHistory history(folder_, MetricsHistory::kMaxPoints, [&room] { return room; });
  for (const uint64_t step : {1, 2, 3}) {
    room = step != 2;
    Put(history, 1, {step});
  }
  MetricsHistory::Cursor cursor;
  const auto points = history.Read("a", 10, cursor).value();
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].step(), 3u);
}

TEST_F(MetricsHistoryTest, KeepsPointsByAttemptAndStep) {
  MetricsHistory history(folder_);
  Put(history, 1, {1, 2, 2, 5});
  MetricsHistory::Cursor cursor;
  EXPECT_THAT(Read(history, cursor), ElementsAre("1:1", "1:2", "1:5")) << "a step is kept once";
  EXPECT_THAT(Read(history, cursor), ElementsAre());
  Put(history, 2, {3});  // it continues from a checkpoint
  EXPECT_THAT(Read(history, cursor), ElementsAre("2:3"));
  Put(history, 1, {9});  // too late
  MetricsHistory::Cursor all;
  EXPECT_THAT(Read(history, all, 2), ElementsAre("1:1", "1:2"));
  EXPECT_THAT(Read(history, all, 2), ElementsAre("1:5", "2:3"));
}

TEST_F(MetricsHistoryTest, AFullFileGrowsSparseWhereItIsOld) {
  MetricsHistory history(folder_, /*max_points=*/4);
  Put(history, 1, {1, 2, 3, 4, 5, 6});
  MetricsHistory::Cursor cursor;
  EXPECT_THAT(Read(history, cursor), ElementsAre("1:1", "1:3", "1:5", "1:6"));
  Put(history, 1, {7});
  EXPECT_THAT(Read(history, cursor), ElementsAre("1:7")) << "a follower continues";
}

TEST_F(MetricsHistoryTest, OutlivesARestartAndAHalfWrittenPoint) {
  { 
    MetricsHistory history(folder_);
    Put(history, 1, {1, 2});
  }
  std::ofstream(folder_ / "a" / "steps.pb", std::ios::binary | std::ios::app) << '\x30' << "torn";
  MetricsHistory history(folder_);
  MetricsHistory::Cursor before;
  EXPECT_THAT(Read(history, before), ElementsAre("1:1", "1:2"));
  Put(history, 1, {2, 3});
  MetricsHistory::Cursor after;
  EXPECT_THAT(Read(history, after), ElementsAre("1:1", "1:2", "1:3"));
}

TEST_F(MetricsHistoryTest, AJobWithoutPointsIsEmptyAndAPathIsRefused) {
  MetricsHistory history(folder_);
  MetricsHistory::Cursor cursor;
  EXPECT_THAT(Read(history, cursor), ElementsAre());
  EXPECT_TRUE(absl::IsInvalidArgument(history.Read("../a", 1, cursor).status()));
}

}  // namespace
}  // namespace muster
