#include "common/spec/stages.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <functional>
#include <tuple>

#include "common/spec/job_spec.h"
#include "common/version.h"

namespace muster {
namespace {

using google::protobuf::util::MessageDifferencer;
using muster::v1::JobSpec;
using muster::v1::ResolvedJob;

// Three epochs on the positives of source llm, then 40 steps on all sources at another learning rate.
JobSpec Staged() {
  JobSpec spec;
  spec.set_name("staged");
  spec.mutable_model()->set_from("minilm");
  spec.mutable_data()->set_train("set");
  spec.mutable_optimizer()->set_learning_rate(1e-3);
  spec.mutable_optimizer()->set_schedule(muster::v1::SCHEDULE_COSINE);
  muster::v1::StageSpec* first = spec.add_stages();
  first->add_sources("llm");
  first->set_epochs(3);
  muster::v1::StageSpec* second = spec.add_stages();
  second->set_steps(40);
  second->set_learning_rate(1e-5);
  second->set_warmup(0);
  second->set_schedule(muster::v1::SCHEDULE_CONSTANT);
  FillDefaults(spec);
  return spec;
}

ResolvedJob Resolved() {
  ResolvedJob resolved;
  resolved.set_train_dataset("d");
  resolved.set_train_queries(30);
  resolved.set_steps_per_epoch(4);
  resolved.set_total_steps(52);
  for (const auto& [queries, per_epoch, steps] : {std::tuple{30, 4, 12}, std::tuple{50, 7, 40}}) {
    muster::v1::ResolvedStage* stage = resolved.add_stages();
    stage->set_train_queries(queries);
    stage->set_steps_per_epoch(per_epoch);
    stage->set_steps(steps);
  }
  return resolved;
}

TEST(Stages, FollowEachOther) {
  const std::vector<Stage> stages = StagesOf(Resolved());
  ASSERT_EQ(stages, (std::vector<Stage>{{.begin = 0, .end = 12, .steps_per_epoch = 4},
                                        {.begin = 12, .end = 52, .steps_per_epoch = 7, .epochs_before = 3}}));
  EXPECT_EQ(StageAt(stages, 0), 0);
  EXPECT_EQ(StageAt(stages, 11), 0);
  EXPECT_EQ(StageAt(stages, 12), 1);
  EXPECT_EQ(StageAt(stages, 51), 1);
  EXPECT_EQ(StageAt(stages, 1000), 1) << "beyond the end";
}

TEST(Stages, AJobWithoutStagesCountsAsOneStage) {
  ResolvedJob resolved = Resolved();
  resolved.clear_stages();
  EXPECT_EQ(StagesOf(resolved), (std::vector<Stage>{{.begin = 0, .end = 52, .steps_per_epoch = 4}}));
  EXPECT_TRUE(MessageDifferencer::Equals(ResolvedOfStage(resolved, 0), resolved));
  JobSpec spec = Staged();
  spec.clear_stages();
  EXPECT_TRUE(MessageDifferencer::Equals(SpecOfStage(spec, 0), spec));
}

TEST(Stages, EachTrainsAsASeparateJob) {
  const JobSpec spec = Staged();
  JobSpec first = spec, second = spec;
  for (JobSpec* own : {&first, &second}) own->clear_stages();
  first.mutable_data()->mutable_positives()->add_sources("llm");
  first.mutable_duration()->set_epochs(3);
  second.mutable_duration()->set_steps(40);
  second.mutable_optimizer()->set_learning_rate(1e-5);
  second.mutable_optimizer()->set_warmup(0);
  second.mutable_optimizer()->set_schedule(muster::v1::SCHEDULE_CONSTANT);
  EXPECT_TRUE(MessageDifferencer::Equals(SpecOfStage(spec, 0), first)) << SpecOfStage(spec, 0).DebugString();
  EXPECT_TRUE(MessageDifferencer::Equals(SpecOfStage(spec, 1), second)) << SpecOfStage(spec, 1).DebugString();
  const ResolvedJob resolved = ResolvedOfStage(Resolved(), 1);
  EXPECT_EQ(resolved.train_queries(), 50);
  EXPECT_EQ(resolved.steps_per_epoch(), 7);
  EXPECT_EQ(resolved.total_steps(), 40);
  EXPECT_EQ(resolved.stages_size(), 0);
  EXPECT_EQ(resolved.train_dataset(), "d");
}

TEST(Stages, TakeWhatTheyLeaveOutFromTheOptimizer) {
  const JobSpec spec = Staged();
  EXPECT_EQ(spec.stages(0).learning_rate(), 1e-3);
  EXPECT_EQ(spec.stages(0).warmup(), 0.1);
  EXPECT_EQ(spec.stages(0).schedule(), muster::v1::SCHEDULE_COSINE);
  JobSpec again = spec;
  FillDefaults(again);
  EXPECT_TRUE(MessageDifferencer::Equals(again, spec)) << "idempotent";
  EXPECT_EQ(StagesText(spec), "llm 3 epochs; all sources 40 steps");
}

TEST(Stages, ErrorsNameTheirPlaceInTheList) {
  ASSERT_TRUE(ValidateJobSpec(Staged()).ok()) << ValidateJobSpec(Staged());
  const auto error = [](const std::function<void(JobSpec&)>& change) {
    JobSpec spec = Staged();
    change(spec);
    return std::string(ValidateJobSpec(spec).message());
  };
  EXPECT_EQ(error([](JobSpec& s) { s.mutable_duration()->set_steps(3); }),
            "duration: cannot be combined with stages, which have their own lengths. Remove one of them.");
  EXPECT_EQ(error([](JobSpec& s) { s.mutable_stages(1)->clear_steps(); }), "stages[1]: has no length. Give epochs or steps.");
  EXPECT_EQ(error([](JobSpec& s) { s.mutable_stages(1)->set_steps(0); }),
            "stages[1].steps: is 0. It must be from 1 to 1000000000.");
  EXPECT_EQ(error([](JobSpec& s) { s.mutable_stages(0)->set_schedule(static_cast<muster::v1::Schedule>(9)); }),
            "stages[0].schedule: unknown value 9. Use a client of the server's version.");
  EXPECT_THAT(error([](JobSpec& s) {
                while (s.stages_size() <= kMaxStages) *s.add_stages() = s.stages(0);
              }),
              testing::StartsWith("stages: has 17 stages, at most 16 are taken."));
}

TEST(Stages, NeedWorkersThatSupportThem) {
  EXPECT_EQ(NeededProtocol(Staged(), Resolved()), kTrainingAidsProtocol);
}

}  // namespace
}  // namespace muster
