#include "coordinator/core/submission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class EstimateSecondsTest : public testing::Test {
 protected:
  EstimateSecondsTest() {
    planned_.mutable_resolved()->set_model_manifest("m");
    planned_.mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_GPU);
    planned_.mutable_spec()->mutable_resources()->mutable_slots()->set_min(2);
    planned_.mutable_spec()->mutable_resources()->mutable_slots()->set_max(4);
  }

  // A job that has ended, like the planned one except for `change`.
  void Ran(const std::string& id, double tokens_per_second,
           const std::function<void(journal::v1::StoredJob&)>& change = {}) {
    JobRecord& record = state_.jobs[id];
    record.set_sequence(++sequence_);
    journal::v1::StoredJob& job = *record.mutable_job();
    *job.mutable_spec() = planned_.spec();
    *job.mutable_resolved() = planned_.resolved();
    job.set_id(id);
    job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
    for (int rank = 0; rank < 2; ++rank) {
      if (rank == 0) job.add_attempts();
      job.mutable_attempts(0)->add_ranks();
    }
    job.mutable_progress()->set_tokens_per_second(tokens_per_second);
    if (change) change(job);
    state_.index.Add(record);
  }

  muster::v1::TrainingPreview Estimate() {
    muster::v1::TrainingPreview preview;
    preview.set_total_steps(100);
    preview.set_tokens_per_step(500);
    EstimateSeconds(state_, soft_, planned_, preview);
    return preview;
  }

  State state_;
  Soft soft_;
  muster::v1::Job planned_;
  uint64_t sequence_ = 0;
};

TEST_F(EstimateSecondsTest, WithoutALikeJobNothingIsGuessed) {
  EXPECT_EQ(Estimate().seconds(), 0);
  EXPECT_THAT(Estimate().notes(), ElementsAre(HasSubstr("time: not known, no like job")));
}

TEST_F(EstimateSecondsTest, TheNewestLikeJobSetsTheSpeedAndIsNamed) {
  Ran("b", 100);
  Ran("a", 1000);
  EXPECT_DOUBLE_EQ(Estimate().seconds(), 50);
  EXPECT_THAT(Estimate().notes(),
              ElementsAre("time: as job a ran its last step, 1000 tokens per second on 2 ranks; without loading, "
                          "evaluation and export"));
}

TEST_F(EstimateSecondsTest, AnotherModelDeviceOrNumberOfRanksIsNotLike) {
  Ran("a", 100, [](auto& job) { job.mutable_resolved()->set_model_manifest("other"); });
  Ran("b", 100, [](auto& job) { job.mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_CPU); });
  Ran("c", 100, [](auto& job) { job.mutable_attempts(0)->mutable_ranks()->RemoveLast(); });
  Ran("d", 100, [](auto& job) { job.clear_progress(); });
  Ran("e", 100, [](auto& job) { job.mutable_spec()->mutable_model()->mutable_lora(); });
  EXPECT_EQ(Estimate().seconds(), 0);
}

TEST_F(EstimateSecondsTest, ARunningJobIsMeasuredAsItRuns) {
  Ran("a", 0, [](auto& job) { job.set_phase(muster::v1::JOB_PHASE_TRAINING); });
  soft_.jobs["a"].progress.set_tokens_per_second(250);
  EXPECT_DOUBLE_EQ(Estimate().seconds(), 200);
}

TEST(DecidedDevice, AutoIsAGpuWhereAWorkerHasOne) {
  State state;
  const auto come = [&](const std::string& name, const std::string& device) {
    WorkerRecord worker;
    worker.set_name(name);
    worker.set_device(device);
    ASSERT_TRUE(Apply(RecordOf(worker), state).ok());
  };
  come("a", "cpu");
  EXPECT_EQ(DecidedDevice(state, muster::v1::DEVICE_AUTO), muster::v1::DEVICE_CPU);
  EXPECT_EQ(DecidedDevice(state, muster::v1::DEVICE_GPU), muster::v1::DEVICE_GPU);
  come("b", "gpu");
  EXPECT_EQ(DecidedDevice(state, muster::v1::DEVICE_AUTO), muster::v1::DEVICE_GPU);
  EXPECT_EQ(DecidedDevice(state, muster::v1::DEVICE_CPU), muster::v1::DEVICE_CPU);
  come("b", "cpu");
  EXPECT_EQ(DecidedDevice(state, muster::v1::DEVICE_AUTO), muster::v1::DEVICE_CPU) << "its GPU is gone";
}

}  // namespace
}  // namespace muster
