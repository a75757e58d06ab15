// Runs whole jobs with stages.
#include <gmock/gmock.h>

#include "common/spec/stages.h"
#include "worker/rank/link/testing/rank_run_fixture.h"

namespace muster {
namespace {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;

class StagesTest : public RunRankTest {
 protected:
  // Two stages, of `first` and of 6 - `first` steps, each with its own schedule.
  RankConfig Staged(uint64_t first) {
    RankConfig config = config_;
    muster::v1::JobSpec& spec = *config.mutable_spec();
    spec.clear_duration();
    spec.clear_evaluate();
    spec.clear_report();
    spec.add_stages()->set_steps(first);
    spec.add_stages()->set_steps(6 - first);
    spec.mutable_stages(1)->set_learning_rate(3e-3);
    spec.mutable_stages(1)->set_warmup(0.5);
    spec.mutable_stages(1)->set_schedule(muster::v1::SCHEDULE_COSINE);
    FillDefaults(spec);
    for (const uint64_t steps : {first, 6 - first}) {
      muster::v1::ResolvedStage& stage = *config.mutable_resolved()->add_stages();
      stage.set_steps(steps);
      stage.set_steps_per_epoch(2);
    }
    return config;
  }

  // The separate job that trains as one stage does. For the last stage, its model is the checkpoint of the first stage's job.
  RankConfig OfStage(const RankConfig& staged, size_t stage) {
    RankConfig config = staged;
    *config.mutable_spec() = SpecOfStage(staged.spec(), stage);
    *config.mutable_resolved() = ResolvedOfStage(staged.resolved(), stage);
    return config;
  }
  RankConfig AfterStage(const RankConfig& staged, const RankConfig& before, const Ended& ended) {
    const RankConfig source = FromCheckpoint(before, ended, before.resolved().total_steps());
    RankConfig config = OfStage(staged, 1);
    *config.mutable_spec()->mutable_model() = source.spec().model();
    *config.mutable_resolved()->mutable_model_checkpoint() = source.resolved().model_checkpoint();
    return config;
  }
};

// Covers dropout, two ranks, and a stage that ends within an epoch.
TEST_F(StagesTest, TrainAsJobsThatFollowEachOtherToTheBit) {
  for (const uint32_t world_size : {1, 2}) {
    for (const uint64_t first : {3, 4}) {
      const RankConfig staged = Staged(first);
      ASSERT_GT(staged.spec().model().dropout(), 0);
      const Ended whole = Run(staged, world_size)[0];
      ASSERT_EQ(whole.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << whole.result.message();
      const RankConfig one = OfStage(staged, 0);
      const Ended before = Run(one, world_size)[0];
      ASSERT_EQ(before.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << before.result.message();
      const Ended after = Run(AfterStage(staged, one, before), world_size)[0];
      ASSERT_EQ(after.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << after.result.message();
      EXPECT_EQ(ModelDigest(whole), ModelDigest(after)) << world_size << " ranks, " << first << " steps of the first stage";
      EXPECT_NE(ModelDigest(whole), ModelDigest(before));
    }
  }
}

// Resumes from a checkpoint in the middle of a stage, and from one at the end of a stage.
TEST_F(StagesTest, AResumedJobExportsTheBytesOfAnUndisturbedOne) {
  for (const uint64_t first : {3, 4}) {
    cluster_.rendezvous.attempt = cluster_.data.attempt = 1;
    const RankConfig staged = Staged(first);
    const Ended whole = Run(staged, 2)[0];
    ASSERT_EQ(whole.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << whole.result.message();
    RankConfig next = Next(whole);
    *next.mutable_spec() = staged.spec();
    *next.mutable_resolved() = staged.resolved();
    ASSERT_EQ(next.checkpoints(0).step(), 4);
    const Ended again = Run(next, 2)[0];
    ASSERT_EQ(again.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << again.result.message();
    EXPECT_EQ(again.Manifest(), whole.Manifest()) << first << " steps of the first stage";
  }
}

TEST_F(StagesTest, ProgressTellsTheStageAndItsEpochAndTheLedgerClosesItsEpochs) {
  std::map<uint64_t, std::string> seen;
  on_message_ = [&](const RankMessage& message) {
    const muster::v1::Progress& progress = message.progress();
    if (progress.step() == 0 || progress.activity() != "training") return;
    seen[progress.step()] = absl::StrCat(progress.stage(), "/", progress.stages(), " epoch ", progress.epoch());
  };
  const Ended ended = Run(Staged(3), 1)[0];
  ASSERT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.rbegin()->first, 6) << "the last step is always reported";
  EXPECT_EQ(seen.rbegin()->second, "2/2 epoch 1.5");
  EXPECT_EQ(seen.begin()->second.substr(0, 4), "1/2 ");
  EXPECT_THAT(ended.Epochs(), testing::ElementsAre("0: some 0 0", "2: some 0 0"))
      << "each stage has one whole epoch; that of the first stage which was not finished is counted";
}

// A metric that does not improve in the first stage may improve in the second.
TEST_F(StagesTest, OnlyTheLastStageStopsEarly) {
  RankConfig staged = Staged(4);
  muster::v1::JobSpec& spec = *staged.mutable_spec();
  for (auto& stage : *spec.mutable_stages()) stage.set_learning_rate(0);  // no evaluation is better than the first
  spec.mutable_evaluate()->set_dataset("d");
  spec.mutable_evaluate()->set_metric("mrr@5");
  spec.mutable_evaluate()->set_every_steps(1);
  spec.mutable_evaluate()->mutable_early_stop()->set_patience(1);
  FillDefaults(spec);
  for (const Ended& ended : Run(staged, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
    for (const RankMessage& message : ended.messages) {
      if (!message.has_exported()) continue;
      EXPECT_EQ(message.exported().stopped_early().step(), 5);
    }
  }
}

}  // namespace
}  // namespace muster
