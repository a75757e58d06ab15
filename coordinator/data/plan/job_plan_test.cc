#include "coordinator/data/plan/job_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/deterministic_bytes.h"
#include "common/spec/job_spec.h"
#include "coordinator/data/plan/plan_test_data.h"

namespace muster {
namespace {

using muster::internal::v1::StepShare;

// Trains on the positives of source 0 for more than one epoch, then on those of source 1, then on all.
muster::v1::JobSpec StagedJob(const Dataset& dataset) {
  muster::v1::JobSpec spec = TestJob();
  spec.add_stages()->add_sources(dataset.sources()[0]);
  spec.mutable_stages(0)->set_steps(9);
  spec.add_stages()->add_sources(dataset.sources()[1]);
  spec.mutable_stages(1)->set_epochs(2);
  spec.add_stages()->set_epochs(1);
  return spec;
}

muster::v1::ResolvedJob ResolveStages(const Dataset& dataset, const muster::v1::JobSpec& spec) {
  muster::v1::ResolvedJob resolved;
  uint64_t total = 0;
  for (int i = 0; i < spec.stages_size(); ++i) {
    const muster::v1::JobSpec own = SpecOfStage(spec, i);
    const muster::v1::ResolvedJob of_stage = Resolve(dataset, own);
    muster::v1::ResolvedStage& stage = *resolved.add_stages();
    stage.set_train_queries(of_stage.train_queries());
    stage.set_steps_per_epoch(of_stage.steps_per_epoch());
    stage.set_steps(own.duration().has_steps() ? own.duration().steps() : own.duration().epochs() * stage.steps_per_epoch());
    total += stage.steps();
  }
  resolved.set_train_dataset(dataset.digest());
  resolved.set_total_steps(total);
  return resolved;
}

std::string WithoutPlace(StepShare share) {
  share.clear_step();
  share.clear_stage();
  return DeterministicBytes(share);
}

// The law of stages: ranks receive the shares that they would receive if each stage were a separate job.
TEST(JobPlan, SharesOfAStageAreThoseOfASeparateJob) {
  for (const uint64_t seed : {3, 4, 5}) {
    const auto dataset = RandomDataset(seed, 40, 60);
    const muster::v1::JobSpec spec = StagedJob(*dataset);
    const muster::v1::ResolvedJob resolved = ResolveStages(*dataset, spec);
    const auto staged = *ShareSource::Create({{dataset}, {TestTokens(*dataset)}, spec, resolved});
    const std::vector<Stage> stages = StagesOf(resolved);
    for (size_t i = 0; i < stages.size(); ++i) {
      const auto own = *TestSource(dataset, SpecOfStage(spec, i));
      ASSERT_LT(stages[i].begin, stages[i].end);
      for (uint64_t step = stages[i].begin; step < stages[i].end; ++step) {
        for (uint32_t rank = 0; rank < 2; ++rank) {
          const StepShare share = *staged->Share(step, rank, 2);
          EXPECT_EQ(share.step(), step);
          EXPECT_EQ(share.stage(), i);
          EXPECT_EQ(WithoutPlace(share), WithoutPlace(*own->Share(step - stages[i].begin, rank, 2)))
              << "seed " << seed << ", stage " << i << ", step " << step;
        }
      }
    }
  }
}

TEST(JobPlan, NamesTheStageWhoseSourceTheDatasetLacks) {
  const auto dataset = RandomDataset(3, 40, 60);
  muster::v1::JobSpec spec = StagedJob(*dataset);
  const muster::v1::ResolvedJob resolved = ResolveStages(*dataset, spec);
  spec.mutable_stages(1)->set_sources(0, "clicks");
  EXPECT_THAT(std::string(MakeJobPlan({dataset.get()}, spec, resolved).status().message()),
              testing::StartsWith("stages[1]: data.positives.sources: the dataset has no judgment of \"clicks\""));
}

TEST(JobPlan, AJobThatWasResolvedWithoutItsStagesIsRefused) {
  const auto dataset = RandomDataset(3, 40, 60);
  const muster::v1::JobSpec spec = StagedJob(*dataset);
  EXPECT_EQ(MakeJobPlan({dataset.get()}, spec, Resolve(*dataset, TestJob())).status().message(),
            "the job has 3 stages, but was resolved with 0. Submit it again.");
}

}  // namespace
}  // namespace muster
