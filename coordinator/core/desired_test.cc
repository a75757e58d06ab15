#include "coordinator/core/desired.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

muster::v1::CheckpointInfo CheckpointOf(uint32_t attempt, uint64_t step) {
  muster::v1::CheckpointInfo checkpoint;
  checkpoint.set_attempt(attempt);
  checkpoint.set_step(step);
  return checkpoint;
}

// What an attempt saves itself does not change its assignment, so that agents are not sent it again.
TEST(DesiredState, HasTheResolvedJobAndTheCheckpointsOfEarlierAttempts) {
  State state;
  JobRecord record;
  record.mutable_job()->set_id("j");
  record.mutable_running();
  auto* attempt = record.mutable_job()->add_attempts();
  attempt->set_number(2);
  attempt->add_ranks()->set_worker("w1");
  auto* resolved = record.mutable_job()->mutable_resolved();
  resolved->set_architecture("bert");
  resolved->set_embedding_size(384);
  resolved->mutable_prompts()->set_query("query: ");
  resolved->set_total_steps(7);
  *record.mutable_job()->add_checkpoints() = CheckpointOf(1, 20);
  *record.mutable_job()->add_checkpoints() = CheckpointOf(1, 40);
  *record.mutable_job()->add_checkpoints() = CheckpointOf(2, 60);
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  const auto desired = DesiredStateOf(state, "w1");
  ASSERT_EQ(desired.assignments_size(), 1);
  const auto& assignment = desired.assignments(0);
  EXPECT_EQ(assignment.resolved().DebugString(), record.job().resolved().DebugString());
  ASSERT_EQ(assignment.checkpoints_size(), 2);
  EXPECT_EQ(assignment.checkpoints(0).step(), 40u) << "the newest first";
  EXPECT_EQ(assignment.checkpoints(1).step(), 20u);
  EXPECT_EQ(DesiredStateOf(state, "w2").assignments_size(), 0);
}

}  // namespace
}  // namespace muster
