#include "worker/rank/train/step_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_split.h"
#include "common/files.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

StepReport ReportOf(uint64_t step) {
  return {.step = step, .loss = 1.0 / 3, .learning_rate = 2e-5, .gradient_norm = 0.25, .queries = 32, .valid_rows = 31,
          .tokens = 4000, .ignored_pairs = 7, .mean_positive = 0.5, .mean_negative = -0.125, .positive_entropy = 0.75,
          .seconds = {{"encode", 0.5}, {"loss", 0.125}}};
}

std::string LogOf(uint64_t steps) {
  std::string text = StepLogHeader();
  for (uint64_t step = 0; step < steps; ++step) text += StepLogLine(ReportOf(step), 1, 1, absl::UnixEpoch());
  return text;
}

class StepLogTest : public testing::Test {
 protected:
  StepLogTest() : folder_(*MakeScratchFolder(testing::TempDir(), "steps")) {}
  ~StepLogTest() override { std::filesystem::remove_all(folder_); }
  const std::filesystem::path folder_;
};

TEST(StepLogLine, HasAValueForEveryColumnAndCountsStepsFromOne) {
  const std::string line = StepLogLine(ReportOf(4), 2, 2, absl::UnixEpoch() + absl::Milliseconds(1500));
  EXPECT_EQ(line,
            "5,2,1970-01-01T00:00:01.500Z,0.3333333333333333,2e-05,0.25,32,31,4000,7,0.5,-0.125,0.75,16.000,2.000000,"
            "0.000000,0.500000,0.000000,0.125000,0.000000,0.000000,0.000000\n");
  const std::vector<std::string> columns = absl::StrSplit(StepLogHeader(), ',');
  const std::vector<std::string> values = absl::StrSplit(line, ',');
  ASSERT_EQ(columns.size(), values.size());
  EXPECT_EQ(columns[0], "step");
  EXPECT_EQ(columns[12], "positive_entropy");
  EXPECT_EQ(columns[16], "encode_seconds");
  EXPECT_EQ(columns.back(), "optimise_seconds\n");
}

TEST(StepLogLine, ReadsBackAsTheSameBits) {
  StepReport report = ReportOf(0);
  report.loss = std::nextafter(0.1, 1.0);
  const std::vector<std::string> values = absl::StrSplit(StepLogLine(report, 1, 1, absl::UnixEpoch()), ',');
  EXPECT_EQ(std::stod(values[3]), report.loss);
  EXPECT_NE(std::stod(values[3]), 0.1);
}

TEST(CheckStepLog, TakesEveryStepOnceInOrderAndNothingElse) {
  EXPECT_TRUE(CheckStepLog(LogOf(3), 3).ok()) << CheckStepLog(LogOf(3), 3);
  EXPECT_TRUE(CheckStepLog(LogOf(0), 0).ok());
  EXPECT_THAT(CheckStepLog("", 0).message(), HasSubstr("line 1 is not the header"));
  EXPECT_THAT(CheckStepLog(LogOf(2), 3).message(), HasSubstr("line 4 is not step 3"));
  EXPECT_THAT(CheckStepLog(LogOf(4), 3).message(), HasSubstr("does not end with step 3"));
  const std::string third = StepLogLine(ReportOf(2), 1, 1, absl::UnixEpoch());
  EXPECT_THAT(CheckStepLog(LogOf(1) + third, 2).message(), HasSubstr("line 3 is not step 2"));
  EXPECT_THAT(CheckStepLog(LogOf(3) + third, 4).message(), HasSubstr("line 5 is not step 4"));
  const std::string cut = LogOf(2);
  EXPECT_FALSE(CheckStepLog(cut.substr(0, cut.size() - 1), 2).ok()) << "the last line is not whole";
}

TEST_F(StepLogTest, GoesOnFromACheckpointWithoutTheDeadAttemptsLaterSteps) {
  StepLog first(folder_ / "first.csv");
  ASSERT_TRUE(first.Clear().ok());
  for (uint64_t step = 0; step < 2; ++step) ASSERT_TRUE(first.Append(ReportOf(step), 1, 1, absl::UnixEpoch()).ok());
  ASSERT_TRUE(first.WriteTo(folder_ / "checkpoint").ok());
  ASSERT_TRUE(first.Append(ReportOf(2), 1, 1, absl::UnixEpoch()).ok());  // lost

  StepLog second(folder_ / "second.csv");
  ASSERT_TRUE(second.Clear().ok());
  ASSERT_TRUE(second.ReadFrom(folder_ / "checkpoint", 2).ok());
  ASSERT_TRUE(second.Append(ReportOf(2), 2, 1, absl::UnixEpoch()).ok());
  EXPECT_EQ(*ReadFile(folder_ / "second.csv"), LogOf(2) + StepLogLine(ReportOf(2), 2, 1, absl::UnixEpoch()));
}

TEST_F(StepLogTest, RefusesALogOfAnotherStepAndAnAbsentOneAndStaysAsItIs) {
  StepLog log(folder_ / "own.csv");
  ASSERT_TRUE(log.Clear().ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ / kStepLogFile, LogOf(3)).ok());
  EXPECT_EQ(log.ReadFrom(folder_, 2).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(log.ReadFrom(folder_ / "absent", 2).ok());
  EXPECT_EQ(*ReadFile(folder_ / "own.csv"), StepLogHeader());
}

}  // namespace
}  // namespace muster
