#include "coordinator/core/model_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A job that trains, with checkpoints of these steps.
State StateWith(std::initializer_list<uint64_t> steps, muster::v1::JobPhase phase = muster::v1::JOB_PHASE_TRAINING) {
  State state;
  journal::v1::StoredJob& job = *state.jobs["a"].mutable_job();
  job.set_id("a");
  job.set_phase(phase);
  job.mutable_spec()->mutable_model()->set_from("minilm");
  job.mutable_spec()->mutable_duration()->set_steps(100);
  job.mutable_spec()->mutable_checkpoint()->set_every_steps(20);
  job.mutable_spec()->set_seed(5);
  job.mutable_resolved()->set_model_manifest("folder");
  job.mutable_resolved()->set_tokenizer_manifest("tokenizer");
  job.mutable_resolved()->mutable_prompts()->set_query("q: ");
  for (const uint64_t step : steps) {
    auto& checkpoint = *job.add_checkpoints();
    checkpoint.set_step(step);
    checkpoint.set_manifest("c" + std::to_string(step));
  }
  return state;
}

std::string ErrorOf(const State& state, const std::string& from) {
  return std::string(SourceOfModel(state, from).status().message());
}

TEST(ModelSource, ACheckpointIsNamedByItsStepAndBringsWhatItsModelNeeds) {
  const auto source = SourceOfModel(StateWith({20, 40}), "job:a@40");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->manifest, "folder");
  ASSERT_TRUE(source->checkpoint.has_value());
  EXPECT_EQ(source->checkpoint->manifest(), "c40");
  EXPECT_EQ(source->checkpoint->job_id(), "a");
  EXPECT_EQ(source->checkpoint->step(), 40u);
  EXPECT_EQ(source->checkpoint->model().from(), "minilm");
  EXPECT_EQ(source->checkpoint->seed(), 5u);
  EXPECT_EQ(source->checkpoint->prompts().query(), "q: ");
  EXPECT_EQ(source->checkpoint->tokenizer_manifest(), "tokenizer");
  EXPECT_FALSE(source->checkpoint->has_base());
}

TEST(ModelSource, TheExportIsWhatAJobAloneNames) {
  State state = StateWith({20}, muster::v1::JOB_PHASE_SUCCEEDED);
  state.jobs["a"].mutable_job()->set_export_manifest("export");
  const auto source = SourceOfModel(state, "job:a");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->manifest, "export");
  EXPECT_FALSE(source->checkpoint.has_value());
}

TEST(ModelSource, AMissingStepIsAnsweredWithThoseThatThereAre) {
  EXPECT_EQ(ErrorOf(StateWith({20, 40}), "job:a@30"),
            "model.from: job a has no checkpoint of step 30. It has those of steps 20, 40.");
  EXPECT_EQ(ErrorOf(StateWith({20}), "job:a@30"), "model.from: job a has no checkpoint of step 30. It has those of step 20.");
  EXPECT_THAT(ErrorOf(StateWith({}), "job:a@30"), HasSubstr("It is training, and its first one will be that of step 20."));
  EXPECT_THAT(ErrorOf(StateWith({}, muster::v1::JOB_PHASE_FAILED), "job:a@30"), HasSubstr("ended (failed) before its first one"));
  EXPECT_THAT(ErrorOf(StateWith({}), "job:b@30"), StartsWith("model.from: there is no job \"b\""));
  EXPECT_THAT(ErrorOf(StateWith({20}), "job:a@x"), StartsWith("model.from: \"job:a@x\": after @ comes the step"));
}

TEST(ModelSource, ACheckpointThatWasRemovedAtTheEndIsAnsweredWithTheRemedy) {
  const std::string error = ErrorOf(StateWith({}, muster::v1::JOB_PHASE_SUCCEEDED), "job:a@20");
  EXPECT_THAT(error, HasSubstr("removed when it succeeded"));
  EXPECT_THAT(error, HasSubstr("Use the model that it exported, job:a"));
  EXPECT_THAT(error, HasSubstr("checkpoint.keep_after_success: true"));
}

TEST(ModelSource, AJobWithoutAModelIsAnsweredWithItsCheckpoints) {
  EXPECT_THAT(ErrorOf(StateWith({20, 40}), "job:a"), HasSubstr("muster watch a. It has checkpoints of steps 20, 40: job:a@40."));
  EXPECT_THAT(ErrorOf(StateWith({20}, muster::v1::JOB_PHASE_CANCELLED), "job:a"),
              HasSubstr("has no model. It has checkpoints of step 20: job:a@20."));
  EXPECT_THAT(ErrorOf(StateWith({}, muster::v1::JOB_PHASE_FAILED), "job:a"), HasSubstr("It will never have one"));
}

TEST(ModelSource, AChainOfCheckpointsIsFollowedAndBounded) {
  State state = StateWith({20});
  for (int i = 1; i < kMostLinks; ++i) {
    const auto source = SourceOfModel(state, "job:a@20");
    ASSERT_TRUE(source.ok()) << i << ": " << source.status();
    *state.jobs["a"].mutable_job()->mutable_resolved()->mutable_model_checkpoint() = *source->checkpoint;
  }
  ASSERT_TRUE(SourceOfModel(state, "job:a@20").ok());
  *state.jobs["a"].mutable_job()->mutable_resolved()->mutable_model_checkpoint() = *SourceOfModel(state, "job:a@20")->checkpoint;
  EXPECT_THAT(ErrorOf(state, "job:a@20"), HasSubstr("Start from a model that one of them exported"));
}

TEST(ModelSource, ACheckpointThatIsGoneWhenTheJobIsCommittedIsRefused) {
  State state = StateWith({20, 40});
  muster::v1::ResolvedJob resolved;
  EXPECT_TRUE(CheckStillKept(state, resolved).ok()) << "made of no checkpoint";
  *resolved.mutable_model_checkpoint() = *SourceOfModel(state, "job:a@20")->checkpoint;
  EXPECT_TRUE(CheckStillKept(state, resolved).ok());
  state.jobs["a"].mutable_job()->mutable_checkpoints(0)->set_manifest("another");
  EXPECT_THAT(std::string(CheckStillKept(state, resolved).message()), HasSubstr("replaced meanwhile"));
  state.jobs["a"].mutable_job()->mutable_checkpoints()->DeleteSubrange(0, 1);
  EXPECT_THAT(std::string(CheckStillKept(state, resolved).message()), HasSubstr("It has those of step 40."));
}

}  // namespace
}  // namespace muster
