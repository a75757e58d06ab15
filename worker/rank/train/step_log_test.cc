#include "worker/rank/train/step_log.h"

#include <algorithm>
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
          .seconds = {{StepPhase::kEncode, 0.5}, {StepPhase::kLoss, 0.125}}};
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
            "0.000000,0.500000,0.000000,0.125000,0.000000,0.000000,0.000000,,,,,,,,,\n");
  const std::vector<std::string> columns = absl::StrSplit(StepLogHeader(), ',');
  const std::vector<std::string> values = absl::StrSplit(line, ',');
  ASSERT_EQ(columns.size(), values.size());
  EXPECT_EQ(columns[0], "step");
  EXPECT_EQ(columns[12], "positive_entropy");
  EXPECT_EQ(columns[16], "encode_seconds");
  EXPECT_EQ(columns[21], "optimise_seconds");
  EXPECT_EQ(columns[22], "positive_weight_1");
  EXPECT_EQ(columns.back(), "noise_weight\n");
}

TEST(StepLogLine, HasTheSharesOfTheGradientThatAreKnown) {
  StepReport report = ReportOf(0);
  report.positive_weights = {2.0 / 3, 1.0 / 3};
  report.noise_weight = 0;
  EXPECT_THAT(StepLogLine(report, 1, 1, absl::UnixEpoch()), ::testing::EndsWith(",0.666667,0.333333,,,,,,,0\n"));
}

TEST(StepLogLine, ReadsBackAsTheSameBits) {
  StepReport report = ReportOf(0);
  report.loss = std::nextafter(0.1, 1.0);
  const std::vector<std::string> values = absl::StrSplit(StepLogLine(report, 1, 1, absl::UnixEpoch()), ',');
  EXPECT_EQ(std::stod(values[3]), report.loss);
  EXPECT_NE(std::stod(values[3]), 0.1);
}

TEST(AdoptStepLog, TakesEveryStepOnceInOrderAndNothingElse) {
  for (const uint64_t steps : {0, 3}) {
    EXPECT_EQ(AdoptStepLog(LogOf(steps), steps).text, LogOf(steps));
    EXPECT_EQ(AdoptStepLog(LogOf(steps), steps).note, "");
  }
  EXPECT_EQ(AdoptStepLog(LogOf(4), 3).text, LogOf(3));
  EXPECT_EQ(AdoptStepLog(LogOf(4), 3).note, "1 lines are left out");
  EXPECT_EQ(AdoptStepLog(LogOf(2), 3).note, "it has 2 of 3 steps");
  const std::string third = StepLogLine(ReportOf(2), 1, 1, absl::UnixEpoch());
  EXPECT_EQ(AdoptStepLog(LogOf(3) + third + "\n,,\nx" + third, 3).text, LogOf(3));
  const std::string cut = LogOf(2);
  EXPECT_EQ(AdoptStepLog(cut.substr(0, cut.size() - 1), 2).text, LogOf(1)) << "the last line is not whole";
}

TEST(AdoptStepLog, FindsColumnsByName) {
  const AdoptedStepLog adopted = AdoptStepLog("weather,loss,step\nrain,0.5,1\nsun,0.25,2\n", 2);
  EXPECT_EQ(adopted.note, "it has other columns");
  const std::vector<std::string> lines = absl::StrSplit(adopted.text, '\n');
  ASSERT_EQ(lines.size(), 4);
  EXPECT_EQ(lines[0] + "\n", StepLogHeader());
  EXPECT_EQ(lines[2], "2,,,0.25" + std::string(std::ranges::count(lines[0], ',') - 3, ','));
  const std::string again = AdoptStepLog(adopted.text, 2).text;
  EXPECT_EQ(again, adopted.text);
}

TEST(AdoptStepLog, StartsOverWhereThereAreNoSteps) {
  for (const std::string text : {"", "\n", "no log", "a,b\n1,2\n", "\0\0\n"}) {
    EXPECT_EQ(AdoptStepLog(text, 2).text, StepLogHeader()) << text;
    EXPECT_THAT(AdoptStepLog(text, 2).note, HasSubstr("starts over")) << text;
  }
}

TEST_F(StepLogTest, ContinuesFromACheckpointWithoutTheDeadAttemptsLaterSteps) {
  StepLog first(folder_ / "first.csv");
  ASSERT_TRUE(first.Clear().ok());
  for (uint64_t step = 0; step < 2; ++step) ASSERT_TRUE(first.Append(ReportOf(step), 1, 1, absl::UnixEpoch()).ok());
  const uint64_t size = first.Size();
  ASSERT_TRUE(first.Append(ReportOf(2), 1, 1, absl::UnixEpoch()).ok());  // appended during the write, so not written
  ASSERT_TRUE(first.WriteTo(folder_ / "checkpoint", size).ok());

  StepLog second(folder_ / "second.csv");
  ASSERT_TRUE(second.Clear().ok());
  EXPECT_EQ(second.ReadFrom(folder_ / "checkpoint", 2), "");
  ASSERT_TRUE(second.Append(ReportOf(2), 2, 1, absl::UnixEpoch()).ok());
  EXPECT_EQ(*ReadFile(folder_ / "second.csv"), LogOf(2) + StepLogLine(ReportOf(2), 2, 1, absl::UnixEpoch()));
}

TEST_F(StepLogTest, WithoutALogItStartsOverAndSaysSo) {
  StepLog log(folder_ / "own.csv");
  EXPECT_EQ(log.Size(), 0);
  ASSERT_TRUE(log.Clear().ok());
  EXPECT_THAT(log.ReadFrom(folder_ / "absent", 2), HasSubstr("starts over"));
  EXPECT_EQ(*ReadFile(folder_ / "own.csv"), StepLogHeader());
}

}  // namespace
}  // namespace muster
