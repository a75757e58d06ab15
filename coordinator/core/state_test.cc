#include "coordinator/core/state.h"

#include <gtest/gtest.h>

#include "coordinator/core/check_state.h"
#include "coordinator/core/testing/snapshot.h"

namespace muster {
namespace {

JobRecord Job(const std::string& id, uint64_t sequence, muster::v1::JobPhase phase) {
  JobRecord record;
  record.mutable_job()->set_id(id);
  record.mutable_job()->set_phase(phase);
  record.set_sequence(sequence);
  record.set_submit_request("r" + id);
  for (const char* name : {"ndcg@10", "mrr", "recall@100", "map@10"}) {
    muster::v1::Evaluation& evaluation = *record.mutable_job()->add_evaluations();
    (*evaluation.mutable_metrics())[name] = 0.5;
    (*evaluation.mutable_metrics())["mrr@10"] = 0.25;
  }
  return record;
}

TEST(State, IsTheSameWhenItIsReloaded) {
  State state;
  ASSERT_TRUE(Apply(RecordOf(Job("b", 1, muster::v1::JOB_PHASE_QUEUED)), state).ok());
  ASSERT_TRUE(Apply(RecordOf(Job("a", 2, muster::v1::JOB_PHASE_FAILED)), state).ok());
  Record garbage;
  garbage.mutable_garbage()->set_manifest("m");
  ASSERT_TRUE(Apply(garbage, state).ok());
  const absl::StatusOr<State> loaded = Reloaded(state);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(SnapshotBytes(*loaded), SnapshotBytes(state));
  EXPECT_EQ(loaded->active, state.active);
  EXPECT_EQ(loaded->submissions, state.submissions);
  EXPECT_EQ(loaded->last_sequence, 2);
}

TEST(State, WhatIsDerivedFollowsAJobThatIsRemoved) {
  State state;
  ASSERT_TRUE(Apply(RecordOf(Job("a", 1, muster::v1::JOB_PHASE_FAILED)), state).ok());
  ASSERT_TRUE(Apply(RecordOf(Job("b", 2, muster::v1::JOB_PHASE_FAILED)), state).ok());
  Record removed;
  removed.mutable_removed()->set_id("a");
  ASSERT_TRUE(Apply(removed, state).ok());
  EXPECT_EQ(state.phases.at(muster::v1::JOB_PHASE_FAILED), 1);
  EXPECT_TRUE(CheckDerived(state).ok()) << CheckDerived(state);
  removed.mutable_removed()->set_id("b");
  ASSERT_TRUE(Apply(removed, state).ok());
  EXPECT_TRUE(CheckDerived(state).ok()) << CheckDerived(state);
  EXPECT_TRUE(state.phases.empty());
}

TEST(State, ReplayedTwiceIsTheSame) {
  State once, twice;
  const Record record = RecordOf(Job("a", 1, muster::v1::JOB_PHASE_QUEUED));
  ASSERT_TRUE(Apply(record, once).ok());
  ASSERT_TRUE(Apply(record, twice).ok());
  ASSERT_TRUE(Apply(record, twice).ok());
  EXPECT_EQ(SnapshotBytes(once), SnapshotBytes(twice));
}

TEST(State, RefusesARecordThatItDoesNotKnow) {
  State state;
  EXPECT_EQ(Apply(Record(), state).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(State, RefusesABrokenSnapshot) { EXPECT_FALSE(StateFromFormerSnapshot("\xff\xff").ok()); }

}  // namespace
}  // namespace muster
