#include "coordinator/core/job_machine.h"
#include "common/deterministic_bytes.h"
#include "coordinator/core/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using muster::v1::JobPhase;
using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1000);

JobRecord Queued() {
  JobRecord record;
  record.mutable_job()->set_id("a");
  record.mutable_job()->set_phase(JobPhase::JOB_PHASE_QUEUED);
  record.mutable_job()->mutable_spec()->mutable_duration()->set_steps(60);
  record.mutable_job()->mutable_spec()->mutable_checkpoint()->set_keep(3);
  record.set_sequence(1);
  return record;
}

JobRecord After(const JobRecord& record, const JobEvent& event) {
  absl::StatusOr<Transition> transition = Advance(record, event, kNow);
  EXPECT_TRUE(transition.ok()) << transition.status();
  return transition.ok() ? transition->record : record;
}

Placed OnOneWorker(uint32_t ranks) {
  Placed placed;
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    muster::v1::RankPlacement placement;
    placement.set_rank(rank);
    placement.set_worker("w1");
    placement.set_slot(rank);
    placed.ranks.push_back(placement);
  }
  return placed;
}

muster::internal::v1::RankStarted Started(uint32_t rank) {
  muster::internal::v1::RankStarted event;
  event.set_rank(rank);
  return event;
}

muster::internal::v1::RankExited Exited(uint32_t rank, muster::internal::v1::ExitCause cause) {
  muster::internal::v1::RankExited event;
  event.set_rank(rank);
  event.set_cause(cause);
  return event;
}

JobRecord Training(uint32_t ranks) {
  JobRecord record = After(After(Queued(), OnOneWorker(ranks)), WorkerPrepared{"w1", "i"});
  for (uint32_t rank = 0; rank < ranks; ++rank) record = After(record, Started(rank));
  return record;
}

TEST(Advance, TrainsOnlyWhenEveryRankStarted) {
  JobRecord record = After(After(Queued(), OnOneWorker(2)), WorkerPrepared{"w1", "i"});
  EXPECT_EQ(record.job().phase(), JobPhase::JOB_PHASE_STARTING);
  record = After(record, Started(0));
  EXPECT_EQ(record.job().phase(), JobPhase::JOB_PHASE_STARTING);
  record = After(record, Started(1));
  EXPECT_EQ(record.job().phase(), JobPhase::JOB_PHASE_TRAINING);
  EXPECT_EQ(record.job().reason(), "training on 2 slots of w1");
}

TEST(Advance, AJobThatMinesSaysSoAndNeedsNoExport) {
  JobRecord record = Queued();
  record.mutable_job()->mutable_spec()->mutable_duration()->set_steps(0);
  record.mutable_job()->mutable_spec()->mutable_mine()->set_out("mined");
  record = After(After(record, OnOneWorker(2)), WorkerPrepared{"w1", "i"});
  record = After(After(record, Started(0)), Started(1));
  EXPECT_EQ(record.job().reason(), "mining on 2 slots of w1");
  muster::internal::v1::RankExited exited = Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS);
  exited.set_message("8 negatives for 4 queries, in dataset mined");
  record = After(record, exited);
  exited.set_rank(1);
  record = After(record, exited);
  EXPECT_EQ(record.job().phase(), JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(record.job().reason(), "mined; 8 negatives for 4 queries, in dataset mined");
}

TEST(Advance, KnowsAnEventThatItHasSeen) {
  const JobRecord record = Training(2);
  const absl::StatusOr<Transition> transition = Advance(record, Started(1), kNow);
  ASSERT_TRUE(transition.ok());
  EXPECT_FALSE(transition->changed);
  EXPECT_EQ(DeterministicBytes(transition->record), DeterministicBytes(record));
}

TEST(Advance, RaisesTheRevisionWithEveryChange) {
  const JobRecord record = Training(1);
  EXPECT_EQ(After(record, Exited(0, muster::internal::v1::EXIT_CAUSE_ERROR)).job().revision(),
            record.job().revision() + 1);
}

TEST(Advance, NeedsAnExportToSucceed) {
  JobRecord record = After(Training(1), Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS));
  EXPECT_EQ(record.job().phase(), JobPhase::JOB_PHASE_RECOVERING);
  EXPECT_THAT(record.job().reason(), HasSubstr("none reported an export"));
}

TEST(Advance, AJobThatOnlyExportsNeedsAnExport) {
  JobRecord record = Training(1);
  record.mutable_job()->mutable_spec()->mutable_duration()->set_steps(0);
  EXPECT_EQ(After(record, Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS)).job().phase(),
            JobPhase::JOB_PHASE_RECOVERING);
  muster::internal::v1::Exported exported;
  exported.set_manifest("export");
  const JobRecord ended = After(After(record, exported), Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS));
  EXPECT_EQ(ended.job().phase(), JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(ended.job().reason(), "exported");
}

TEST(Advance, NeedsNoExportToEvaluateAlone) {
  JobRecord record = Training(1);
  record.mutable_job()->mutable_spec()->mutable_duration()->set_steps(0);
  record.mutable_job()->mutable_spec()->mutable_report()->set_dataset("d");
  EXPECT_EQ(After(record, Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS)).job().phase(),
            JobPhase::JOB_PHASE_SUCCEEDED);
}

TEST(Advance, AJobThatOnlyEvaluatesKeepsItsResultsWithoutAnExport) {
  JobRecord record = Training(1);
  record.mutable_job()->mutable_spec()->mutable_duration()->set_steps(0);
  record.mutable_job()->mutable_spec()->mutable_report()->set_dataset("d");
  muster::internal::v1::Exported first, second;
  first.set_step_log("r1");
  second.set_step_log("r2");
  const auto kept = Advance(record, first, kNow);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->record.job().step_log_manifest(), "r1");
  EXPECT_EQ(kept->record.job().export_manifest(), "");
  EXPECT_THAT(kept->restored, testing::ElementsAre("r1"));
  EXPECT_FALSE(Advance(kept->record, first, kNow)->changed) << "a report that is sent again";
  EXPECT_THAT(Advance(kept->record, second, kNow)->garbage, testing::ElementsAre("r1")) << "of the previous attempt";
  const JobRecord ended = After(kept->record, Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS));
  EXPECT_EQ(ended.job().phase(), JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(ended.job().reason(), "evaluated");
  EXPECT_TRUE(HasManifest(ended.job(), "r1")) << "a root of garbage collection";
}

TEST(Advance, DoesNotCountAStoppedRankAsTheJobsFailure) {
  const JobRecord record = After(Training(1), Exited(0, muster::internal::v1::EXIT_CAUSE_STOPPED));
  EXPECT_EQ(record.job().phase(), JobPhase::JOB_PHASE_RECOVERING);
  EXPECT_EQ(record.causes_size(), 0);
}

TEST(Advance, AnAttemptThatCannotSaveEndsAtOnce) {
  UserCommand pause{Verb::kPause, "ada", "r"};
  EXPECT_TRUE(After(Training(2), pause).running().stop().pause()) << "with agents that answer it saves first";
  pause.can_save = false;
  const JobRecord paused = After(Training(2), pause);
  EXPECT_EQ(paused.job().phase(), JobPhase::JOB_PHASE_PAUSED);
  EXPECT_FALSE(paused.has_running());
  EXPECT_EQ(After(Training(2), SaveAndStop{"w1", "w1 drains", false}).job().phase(), JobPhase::JOB_PHASE_RECOVERING);
}

TEST(Advance, RefusesToPlaceARunningJob) {
  EXPECT_EQ(Advance(Training(1), OnOneWorker(1), kNow).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Advance, RefusesARankThatTheAttemptDoesNotHave) {
  EXPECT_FALSE(Advance(Training(1), Exited(1, muster::internal::v1::EXIT_CAUSE_ERROR), kNow).ok());
}

TEST(Advance, RemembersTheNewestRequestsOnly) {
  JobRecord record = Queued();
  for (int i = 0; i < 50; ++i) {
    record = After(record, UserCommand{Verb::kPause, "ada", std::to_string(i)});
    record = After(record, UserCommand{Verb::kResume, "ada", std::to_string(i)});
  }
  EXPECT_EQ(record.requests_size(), 32);
}

muster::internal::v1::CheckpointSaved Saved(uint64_t step, const std::string& manifest) {
  muster::internal::v1::CheckpointSaved event;
  event.mutable_checkpoint()->set_step(step);
  event.mutable_checkpoint()->set_manifest(manifest);
  return event;
}

muster::internal::v1::CheckpointRefused Refused(uint64_t step, const std::string& manifest) {
  muster::internal::v1::CheckpointRefused event;
  event.set_step(step);
  event.set_manifest(manifest);
  event.set_reason("blob 12 is not stored");
  return event;
}

// Attempt 2 starts; attempt 1 left checkpoints of steps 4000, 4900 and 5000.
JobRecord Restoring() {
  JobRecord record = Training(1);
  for (const uint64_t step : {4000, 4900, 5000}) record = After(record, Saved(step, std::to_string(step)));
  record = After(record, Exited(0, muster::internal::v1::EXIT_CAUSE_ERROR));
  return After(After(record, OnOneWorker(1)), WorkerPrepared{"w1", "i"});
}

TEST(DamagedCheckpoints, TheAttemptIsReportedToContinueFromTheStepItReallyHas) {
  JobRecord record = Restoring();
  EXPECT_EQ(record.job().attempts(1).from_step(), 5000);
  record = After(After(record, Refused(5000, "5000")), Refused(4900, "4900"));
  EXPECT_EQ(record.job().attempts(1).from_step(), 4000);
  EXPECT_EQ(After(record, Started(0)).job().reason(),
            "training on 1 slot of w1, from step 4000; the checkpoints of steps 4900, 5000 are damaged");
}

TEST(DamagedCheckpoints, ANewOneBelowThemIsProgressAndLetsThemGo) {
  JobRecord record = After(After(After(Restoring(), Refused(5000, "5000")), Refused(4900, "4900")), Started(0));
  EXPECT_EQ(record.causes_size(), 1);
  const absl::StatusOr<Transition> saved = Advance(record, Saved(4100, "4100"), kNow);
  ASSERT_TRUE(saved.ok());
  EXPECT_EQ(saved->record.causes_size(), 0);
  EXPECT_EQ(saved->record.refused_size(), 0);
  EXPECT_THAT(saved->garbage, testing::UnorderedElementsAre("4900", "5000"));
  EXPECT_EQ(CheckpointStep(saved->record), 4100);
}

TEST(DamagedCheckpoints, ARefusalOfWhatTheJobDoesNotHaveChangesNothing) {
  for (const auto& unknown : {Refused(5000, "other"), Refused(1, "5000")}) {
    EXPECT_FALSE(Advance(Restoring(), unknown, kNow)->changed);
  }
  const JobRecord own = After(Training(1), Saved(20, "20"));
  EXPECT_FALSE(Advance(own, Refused(20, "20"), kNow)->changed) << "no rank restores what its own attempt stored";
}

TEST(StartFailures, ANextAttemptWaitsButNeverForAClockThatWasSetBack) {
  JobRecord record = Restoring();
  for (int i = 0; i < 3; ++i) {
    record = After(record, Exited(0, muster::internal::v1::EXIT_CAUSE_ERROR));
    EXPECT_EQ(record.job().phase(), JobPhase::JOB_PHASE_RECOVERING);
    EXPECT_EQ(record.causes_size(), 1) << "that of attempt 1";
    if (i < 2) record = After(After(record, OnOneWorker(1)), WorkerPrepared{"w1", "i"});
  }
  EXPECT_THAT(record.job().reason(), HasSubstr("failed to start 3 times, next attempt in 10s"));
  EXPECT_TRUE(WaitsToRetry(record, kNow + absl::Seconds(9)));
  EXPECT_FALSE(WaitsToRetry(record, kNow + absl::Seconds(10)));
  EXPECT_FALSE(WaitsToRetry(record, kNow - absl::Hours(2)));
}

TEST(StartFailures, EndTheJobAfterADayOfThem) {
  JobRecord record = Restoring();
  absl::Duration waited;
  for (uint32_t i = 1; i < kMaxStartFailures; ++i) {
    record = After(record, Exited(0, muster::internal::v1::EXIT_CAUSE_ERROR));
    ASSERT_EQ(record.job().phase(), JobPhase::JOB_PHASE_RECOVERING) << i;
    waited += FromProto(record.start_failures().retry()) - kNow;
    record = After(After(record, OnOneWorker(1)), WorkerPrepared{"w1", "i"});
  }
  EXPECT_GT(waited, absl::Hours(24));
  record = After(record, Exited(0, muster::internal::v1::EXIT_CAUSE_ERROR));
  EXPECT_EQ(record.job().phase(), JobPhase::JOB_PHASE_FAILED);
  EXPECT_THAT(record.job().reason(), HasSubstr("300 attempts in a row failed before they trained, the last: rank 0 on w1"));
}

TEST(StartFailures, ABetterCauseOfALostPeerReplacesTheirReasonAndNoOther) {
  JobRecord record = After(Restoring(), Exited(0, muster::internal::v1::EXIT_CAUSE_COLLECTIVE));
  muster::internal::v1::RankExited exit = Exited(0, muster::internal::v1::EXIT_CAUSE_ERROR);
  exit.set_message("no space");
  const absl::StatusOr<Transition> amended = AmendCause(record, 2, exit, kNow);
  ASSERT_TRUE(amended.ok());
  EXPECT_EQ(amended->record.job().reason(), "rank 0 on w1: no space");
  EXPECT_EQ(amended->record.causes(0), record.causes(0));
  record = After(After(record, OnOneWorker(1)), WorkerPrepared{"w1", "i"});
  record = After(record, Exited(0, muster::internal::v1::EXIT_CAUSE_COLLECTIVE));
  EXPECT_EQ(AmendCause(record, 3, exit, kNow)->record.job().reason(),
            "rank 0 on w1: no space; failed to start 2 times, next attempt in 5s");
}

TEST(Fence, LetsTheRunningAttemptPassAlone) {
  const JobRecord record = After(After(Training(1), Exited(0, muster::internal::v1::EXIT_CAUSE_ERROR)), OnOneWorker(1));
  EXPECT_TRUE(Fence(record, 2).ok());
  EXPECT_EQ(Fence(record, 1).message(), "attempt 1 ended");
  EXPECT_EQ(Fence(record, 1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Fence(record, 3).message(), "attempt 3 was never begun");
}

TEST(DescribeExit, TakesTheLastLineOfTheLogWhereThereIsNoMessage) {
  muster::internal::v1::RankExited exit = Exited(0, muster::internal::v1::EXIT_CAUSE_ERROR);
  exit.set_exit_code(3);
  exit.set_log_tail("one\nout of memory\n\n");
  EXPECT_EQ(DescribeExit(Training(1), 1, exit), "rank 0 on w1 exited with code 3: out of memory");
}

TEST(JobMachine, TheReasonOfASuccessHasTheNoteOfTheRanks) {
  muster::internal::v1::Exported exported;
  exported.set_manifest("export");
  const JobRecord record = After(Training(1), exported);
  muster::internal::v1::RankExited exit = Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS);
  EXPECT_EQ(After(record, exit).job().reason(), "trained and exported");
  exit.set_message("4 of the last 4 steps had no negative to learn from");
  EXPECT_EQ(After(record, exit).job().reason(),
            "trained and exported; 4 of the last 4 steps had no negative to learn from");
}

TEST(JobMachine, TheProgressOfARankThatEndedIsKeptUntilItsPeersEnd) {
  muster::internal::v1::Exported exported;
  exported.set_manifest("export");
  muster::internal::v1::RankExited exit = Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS);
  exit.mutable_progress()->set_step(60);
  const JobRecord half = After(After(Training(2), exported), exit);
  EXPECT_EQ(half.job().progress().step(), 60);
  const JobRecord all = After(half, Exited(1, muster::internal::v1::EXIT_CAUSE_SUCCESS));
  EXPECT_EQ(all.job().phase(), muster::v1::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(all.job().progress().step(), 60);
  EXPECT_EQ(all.job().attempts(0).last_step(), 60);
}

TEST(JobMachine, TheNewestTraceReplacesThePreviousOne) {
  muster::internal::v1::TraceSaved first, second;
  first.set_manifest("t1");
  second.set_manifest("t2");
  const auto kept = Advance(Training(1), first, kNow);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->record.job().trace_manifest(), "t1");
  EXPECT_THAT(kept->restored, testing::ElementsAre("t1"));
  EXPECT_FALSE(Advance(kept->record, first, kNow)->changed) << "a report that is sent again";
  const auto replaced = Advance(kept->record, second, kNow);
  EXPECT_EQ(replaced->record.job().trace_manifest(), "t2");
  EXPECT_THAT(replaced->garbage, testing::ElementsAre("t1"));
}

TEST(JobMachine, AJobThatSucceededLetsItsCheckpointsGoUnlessItKeepsThem) {
  for (const bool keep : {false, true}) {
    JobRecord job = Training(1);
    job.mutable_job()->mutable_spec()->mutable_checkpoint()->set_keep(3);
    job.mutable_job()->mutable_spec()->mutable_checkpoint()->set_keep_after_success(keep);
    muster::internal::v1::CheckpointSaved saved;
    saved.mutable_checkpoint()->set_step(20);
    saved.mutable_checkpoint()->set_manifest("c20");
    muster::internal::v1::Exported exported;
    exported.set_manifest("export");
    exported.set_step_log("log");
    const JobRecord before = After(After(job, saved), exported);
    EXPECT_EQ(before.job().checkpoints_size(), 1) << "until it has succeeded";
    EXPECT_EQ(before.job().step_log_manifest(), "log");
    const auto ended = Advance(before, Exited(0, muster::internal::v1::EXIT_CAUSE_SUCCESS), kNow);
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->record.job().checkpoints_size(), keep ? 1 : 0);
    if (keep) {
      EXPECT_THAT(ended->garbage, testing::IsEmpty());
    } else {
      EXPECT_THAT(ended->garbage, testing::ElementsAre("c20"));
    }
  }
}

}  // namespace
}  // namespace muster
