#include "worker/rank/train/schedule.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

muster::v1::OptimizerSpec Spec(muster::v1::Schedule schedule, double warmup) {
  muster::v1::OptimizerSpec spec;
  spec.set_learning_rate(1e-3);
  spec.set_warmup(warmup);
  spec.set_schedule(schedule);
  return spec;
}

TEST(LearningRate, WarmsUpThenFallsInALine) {
  const auto spec = Spec(muster::v1::SCHEDULE_LINEAR, 0.2);
  const double expected[] = {0.5e-3, 1e-3, 1e-3, 0.875e-3, 0.75e-3, 0.625e-3, 0.5e-3, 0.375e-3, 0.25e-3, 0.125e-3};
  for (int step = 0; step < 10; ++step) EXPECT_NEAR(LearningRateAt(spec, step, 10), expected[step], 1e-15) << step;
}

TEST(LearningRate, CosineStartsFullIsHalfInTheMiddleAndEndsAtZero) {
  const auto spec = Spec(muster::v1::SCHEDULE_COSINE, 0);
  EXPECT_DOUBLE_EQ(LearningRateAt(spec, 0, 100), 1e-3);
  EXPECT_NEAR(LearningRateAt(spec, 50, 100), 0.5e-3, 1e-15);
  EXPECT_GT(LearningRateAt(spec, 99, 100), 0);
  EXPECT_EQ(LearningRateAt(spec, 100, 100), 0);
}

TEST(LearningRate, ConstantAfterWarmup) {
  const auto spec = Spec(muster::v1::SCHEDULE_CONSTANT, 0.1);
  EXPECT_NEAR(LearningRateAt(spec, 0, 40), 0.25e-3, 1e-15);
  for (const int step : {3, 4, 39}) EXPECT_DOUBLE_EQ(LearningRateAt(spec, step, 40), 1e-3) << step;
}

TEST(LearningRate, IsPositiveInEveryStepAndNeverAboveItsPeak) {
  for (const auto schedule :
       {muster::v1::SCHEDULE_LINEAR, muster::v1::SCHEDULE_COSINE, muster::v1::SCHEDULE_CONSTANT}) {
    for (const double warmup : {0.0, 0.1, 0.5, 1.0}) {
      for (const uint64_t total : {1, 2, 3, 17, 1000}) {
        for (uint64_t step = 0; step < total; ++step) {
          const double rate = LearningRateAt(Spec(schedule, warmup), step, total);
          EXPECT_GT(rate, 0) << step << " of " << total << ", warmup " << warmup;
          EXPECT_LE(rate, 1e-3);
        }
      }
    }
  }
}

TEST(ClipFactor, ScalesDownToTheLargestNormOnly) {
  EXPECT_EQ(ClipFactor(0.5, 1), 1);
  EXPECT_NEAR(ClipFactor(4, 1), 0.25, 1e-6);
  EXPECT_EQ(ClipFactor(100, 0), 1);
  EXPECT_EQ(ClipFactor(0, 1), 1);
}

}  // namespace
}  // namespace muster
