#include "coordinator/core/restore.h"

#include <gtest/gtest.h>

#include "common/deterministic_bytes.h"
#include "coordinator/core/job_machine.h"

namespace muster {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

State StateWith(muster::v1::JobPhase phase, bool running) {
  JobRecord record;
  record.mutable_job()->set_id("a");
  record.mutable_job()->set_phase(phase);
  record.mutable_job()->add_attempts()->set_number(2);
  record.set_last_attempt(2);
  if (running) record.mutable_running()->set_number(2);
  State state;
  state.epoch = 7;
  EXPECT_TRUE(Apply(RecordOf(record), state).ok());
  return state;
}

State After(State state, uint64_t epoch) {
  for (const Record& record : AfterRestore(state, epoch, "monday", kNow)) EXPECT_TRUE(Apply(record, state).ok());
  return state;
}

TEST(AfterRestore, EndsTheAttemptThatRanAndLetsTheJobContinue) {
  const State state = After(StateWith(muster::v1::JOB_PHASE_TRAINING, true), 5000);
  const JobRecord& job = state.jobs.at("a");
  EXPECT_EQ(state.epoch, 5000);
  EXPECT_EQ(job.job().phase(), muster::v1::JOB_PHASE_RECOVERING);
  EXPECT_FALSE(job.has_running());
  EXPECT_EQ(job.job().attempts(0).end_reason(), "restored from backup monday");
  EXPECT_EQ(job.causes_size(), 0) << "it is not a failure of the job";
}

TEST(AfterRestore, AttemptsThatBeganAfterTheBackupAreFenced) {
  State state = After(StateWith(muster::v1::JOB_PHASE_TRAINING, true), 5000);
  for (const uint32_t lost : {3u, 4u, 1002u}) EXPECT_FALSE(Fence(state.jobs.at("a"), lost).ok()) << lost;
  const auto placed = Advance(state.jobs.at("a"), Placed{{muster::v1::RankPlacement()}}, kNow);
  ASSERT_TRUE(placed.ok());
  EXPECT_EQ(placed->record.running().number(), 1003);
}

TEST(AfterRestore, WaitingJobsKeepWaiting) {
  const State queued = After(StateWith(muster::v1::JOB_PHASE_QUEUED, false), 5000);
  EXPECT_EQ(queued.jobs.at("a").job().phase(), muster::v1::JOB_PHASE_QUEUED);
  EXPECT_EQ(queued.jobs.at("a").last_attempt(), 1002) << "it may have begun to run after the backup";
}

TEST(AfterRestore, EndedJobsDoNotChange) {
  const State before = StateWith(muster::v1::JOB_PHASE_SUCCEEDED, false);
  EXPECT_EQ(DeterministicBytes(After(before, 5000).jobs.at("a")), DeterministicBytes(before.jobs.at("a")));
}

TEST(AfterRestore, HasItsEffectOnce) {
  const State once = After(StateWith(muster::v1::JOB_PHASE_TRAINING, true), 5000);
  EXPECT_TRUE(AfterRestore(once, 5000, "monday", kNow).empty());
}

}  // namespace
}  // namespace muster
