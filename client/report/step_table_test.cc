#include "client/report/step_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;

constexpr char kLog[] =
    "step,attempt,time,loss,tokens,seconds,data_seconds,encode_seconds\n"
    "1,1,2026-01-31T12:00:00.000Z,2.5,100,2.000000,0.5,1.25\n"
    "2,1,2026-01-31T12:00:02.000Z,nan,300,0.000000,0.25,\n";

StepTable::Points PointsOf(std::initializer_list<std::pair<uint64_t, double>> losses) {
  StepTable::Points points;
  for (const auto& [step, loss] : losses) {
    points.Add()->set_step(step);
    points.rbegin()->set_loss(loss);
  }
  return points;
}

TEST(StepTable, ReadsAStepLogByTheNamesOfItsColumns) {
  const auto table = StepTable::FromStepLog(kLog);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->steps(), ElementsAre(1, 2));
  EXPECT_EQ(table->logged(), 2u);
  EXPECT_THAT(table->phases(), ElementsAre("data", "encode"));
  EXPECT_THAT(table->Column("loss"), ElementsAre(2.5, IsNan()));
  EXPECT_THAT(table->Column("encode_seconds"), ElementsAre(1.25, IsNan())) << "a step of an older version";
  EXPECT_THAT(table->Column("tokens_per_second"), ElementsAre(50, IsNan()));
  EXPECT_THAT(table->Column("weather"), ElementsAre(IsNan(), IsNan()));
  EXPECT_TRUE(table->HasValues("loss"));
  EXPECT_FALSE(table->HasValues("weather"));
}

TEST(StepTable, TakesEveryStepOnceAndOnlyWholeLines) {
  const auto table = StepTable::FromStepLog("loss,step,loss\n3,1,9\n2,2,9\n2,2,9\n5,1,9\n1\n1,3,9\n0,4,9");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->steps(), ElementsAre(1, 2, 3));
  EXPECT_THAT(table->Column("loss"), ElementsAre(3, 2, 1)) << "the first column of a name";
}

TEST(StepTable, RefusesWhatIsNotAStepLog) {
  for (const char* text : {"", "\n", "loss,seconds\n1,2\n"}) {
    EXPECT_THAT(std::string(StepTable::FromStepLog(text).status().message()), HasSubstr("no column \"step\"")) << text;
  }
}

TEST(StepTable, PointsFollowTheLog) {
  StepTable table = *StepTable::FromStepLog(kLog);
  table.Append(PointsOf({{4, 1.5}, {6, 1.25}}));
  EXPECT_THAT(table.steps(), ElementsAre(1, 2, 4, 6));
  EXPECT_THAT(table.Column("loss"), ElementsAre(2.5, IsNan(), 1.5, 1.25));
  EXPECT_THAT(table.Column("data_seconds"), ElementsAre(0.5, 0.25, IsNan(), IsNan()));
  EXPECT_EQ(table.logged(), 2u);
}

TEST(StepTable, OfStepsThatWereRepeatedTheLaterAttemptCounts) {
  StepTable table;
  table.Append(PointsOf({{1, 9}, {2, 8}, {3, 7}, {2, 6}, {5, 4}}));
  EXPECT_THAT(table.steps(), ElementsAre(1, 2, 5));
  EXPECT_THAT(table.Column("loss"), ElementsAre(9, 6, 4));
  EXPECT_THAT(table.Column("absent"), ElementsAre(IsNan(), IsNan(), IsNan()));
}

TEST(StepTable, HasTheSharesOfTheGradientOfLogsAndPoints) {
  StepTable table =
      *StepTable::FromStepLog("step,loss,positive_weight_1,positive_weight_2,noise_weight\n1,2,0.75,0.25,0\n2,1,,,\n");
  StepTable::Points points = PointsOf({{3, 1}, {4, 1}});
  points.Mutable(0)->add_positive_weights(0.5);
  points.Mutable(0)->add_positive_weights(0.5);
  points.Mutable(0)->set_noise_weight(0.125);
  table.Append(points);
  EXPECT_THAT(table.Column("positive_weight_1"), ElementsAre(0.75, IsNan(), 0.5, IsNan()));
  EXPECT_THAT(table.Column("positive_weight_2"), ElementsAre(0.25, IsNan(), 0.5, IsNan()));
  EXPECT_THAT(table.Column("noise_weight"), ElementsAre(0, IsNan(), 0.125, IsNan()));
  EXPECT_FALSE(table.HasValues("positive_weight_3"));
}

TEST(StepTable, ZeroOfAPointIsNotMeasured) {
  StepTable table;
  StepTable::Points points = PointsOf({{1, 0}, {2, 0}});
  points.Mutable(0)->set_queries_per_second(10);
  points.Mutable(1)->set_mean_positive(0.5);
  table.Append(points);
  EXPECT_THAT(table.Column("loss"), ElementsAre(0, 0)) << "a loss may be zero";
  EXPECT_THAT(table.Column("queries_per_second"), ElementsAre(10, IsNan()));
  EXPECT_THAT(table.Column("positive_entropy"), ElementsAre(IsNan(), 0)) << "zero with a similarity was measured";
}

}  // namespace
}  // namespace muster
