#include "coordinator/core/liveness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/core/step.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

RankStanding Rank(uint32_t rank, uint64_t step, const std::string& phase, uint64_t collectives, bool in_collective) {
  return {.rank = rank,
          .worker = rank < 2 ? "w1" : "w2",
          .known = true,
          .phase = phase,
          .step = step,
          .collectives = collectives,
          .in_collective = in_collective,
          .in_phase = absl::Seconds(121)};
}

TEST(DescribeLag, NamesTheRankThatHasBegunTheFewestCollectives) {
  EXPECT_EQ(DescribeLag({Rank(0, 271, "gather", 9, true), Rank(1, 270, "encode", 8, false), Rank(2, 271, "gather", 9, true)}),
            "rank 1 on w1 is at step 270 in encode for 121 s, while ranks 0, 2 wait in gather at step 271");
}

TEST(DescribeLag, ARankInsideACollectiveIsBehindOneThatReturnedFromIt) {
  EXPECT_EQ(DescribeLag({Rank(0, 5, "loss", 9, false), Rank(2, 5, "gather", 9, true)}),
            "rank 2 on w2 is at step 5 in gather for 121 s");
}

TEST(DescribeLag, NamesAFrozenRankWhereverItHangs) {
  std::vector<RankStanding> ranks = {Rank(0, 5, "gather", 9, true), Rank(1, 5, "gather", 9, true)};
  ranks[1].silent = absl::Seconds(120);
  EXPECT_EQ(DescribeLag(ranks), "rank 1 on w1 has not responded for 120 s (stopped or frozen): at step 5 in gather, while "
                                "rank 0 waits in gather at step 5");
}

TEST(DescribeLag, NamesARankThatHasReportedNothing) {
  std::vector<RankStanding> ranks = {Rank(0, 0, "connecting, joining", 1, true), {.rank = 1, .worker = "w1"}};
  EXPECT_EQ(DescribeLag(ranks), "rank 1 on w1 has reported nothing, while rank 0 waits in connecting, joining at step 0");
  EXPECT_THAT(DescribeLag({{.rank = 0, .worker = "w1"}}), IsEmpty());
}

TEST(DescribeLag, BlamesNobodyWhoseStandingIsEveryonesStanding) {
  EXPECT_EQ(DescribeLag({Rank(0, 5, "reduce", 9, true), Rank(2, 5, "reduce", 9, true)}),
            "all ranks are at step 5 in reduce for 121 s: every rank waits for the others");
  EXPECT_EQ(DescribeLag({Rank(0, 8, "saving a checkpoint", 0, false)}),
            "rank 0 on w1 is at step 8, saving a checkpoint, for 121 s");
}

TEST(DescribeLag, StaysShortWithManyRanks) {
  std::vector<RankStanding> ranks = {Rank(0, 270, "encode", 8, false), Rank(1, 270, "encode", 8, false)};
  for (uint32_t rank = 2; rank < 128; ++rank) ranks.push_back(Rank(rank, 271, "gather", 9, true));
  EXPECT_EQ(DescribeLag(ranks),
            "rank 0 on w1 and 1 other rank are at step 270 in encode for 121 s, while 126 ranks wait in gather at step 271");
}

TEST(DescribePeersBehind, BlamesOnlyPeersThatTheRankWaitedFor) {
  // Rank 2 waits as rank 0 did: neither is the cause.
  EXPECT_THAT(DescribePeersBehind({Rank(0, 5, "gather", 9, true), Rank(2, 5, "gather", 9, true)}, 0), IsEmpty());
  EXPECT_THAT(DescribePeersBehind({Rank(0, 5, "gather", 9, true), Rank(2, 5, "encode", 8, false)}, 0), HasSubstr("rank 2 on w2"));
}

// A job of one rank that trains on w1, after its records and its agent's reports.
class Attempt {
 public:
  Attempt() {
    Restart();
    SubmitJob submit;
    submit.job_id = "a";
    submit.spec.mutable_resources()->mutable_slots()->set_min(1);
    Give(submit);
    Give(Plan{});
    muster::internal::v1::Report report;
    report.mutable_prepared();
    Report(report);
    report.mutable_rank_started()->set_rank(0);
    Report(report);
  }
  // A new coordinator, which its agent tells nothing of the past.
  void Restart() {
    soft_ = Soft{now_};
    muster::internal::v1::Hello hello;
    hello.set_worker("w1");
    hello.set_device("cpu");
    hello.set_slots(1);
    Give(AgentHello{1, hello});
  }
  void Give(const Event& event) {
    const Decision decision = Step(state_, soft_, event, now_);
    for (const Record& record : decision.records) EXPECT_TRUE(Apply(record, state_).ok());
    for (const Effect& effect : decision.effects) {
      if (const auto* reported = std::get_if<StepReported>(&effect)) steps_.push_back(reported->point.step());
    }
  }
  const std::vector<uint64_t>& steps() const { return steps_; }  // that watchers of metrics see
  void Report(muster::internal::v1::Report report) {
    report.set_sequence(++sequence_);
    report.set_job_id("a");
    report.set_attempt(1);
    Give(AgentReport{"w1", 1, report});
  }
  void Progress(uint64_t step) {
    AgentProgress progress{"w1", 1, {}};
    progress.progress.set_job_id("a");
    progress.progress.set_attempt(1);
    progress.progress.mutable_progress()->set_step(step);
    Give(progress);
  }
  void Wait(const std::string& unreachable) {
    AgentHeartbeat heartbeat{"w1", 1, {}};
    auto& observed = *heartbeat.heartbeat.add_attempts();
    observed.set_job_id("a");
    observed.set_attempt(1);
    observed.add_running_ranks(0);
    observed.add_activities()->set_unreachable(unreachable);
    Give(heartbeat);
  }
  void WaitFor(absl::Duration time, const std::string& unreachable) {
    for (absl::Duration passed; passed < time; passed += absl::Seconds(1)) {
      Wait(unreachable);
      Tick(absl::Seconds(1));
    }
  }
  void Tick(absl::Duration later) {
    now_ += later;
    Give(muster::Tick{});
  }
  muster::v1::Job Job() const { return *ViewJob(state_, soft_, "a"); }
  Soft& soft() { return soft_; }

 private:
  absl::Time now_ = absl::FromUnixSeconds(1000);
  State state_;
  Soft soft_{now_};
  uint64_t sequence_ = 0;
  std::vector<uint64_t> steps_;
};

// The reason is updated every 10 s.
TEST(Liveness, UsersSeeWhichServerAnAttemptWaitsForAndHowLong) {
  Attempt attempt;
  attempt.Give(DataServerSeen{"10.0.0.7:7072", false});
  attempt.WaitFor(absl::Seconds(190), "data server 10.0.0.7:7072");
  EXPECT_EQ(attempt.Job().reason(), "waiting for data server 10.0.0.7:7072, unreachable for 3m1s");
  attempt.Give(DataServerSeen{"10.0.0.7:7072", true});
  attempt.Wait("");
  attempt.Progress(3);
  attempt.Tick(absl::Seconds(1));
  EXPECT_EQ(attempt.Job().reason(), "training on 1 slot of w1");
}

TEST(Liveness, TheBoundOfTheNoProgressTimerIsASetting) {
  Attempt attempt;
  attempt.soft().no_progress = absl::Seconds(5);
  attempt.Tick(absl::Seconds(4));
  EXPECT_EQ(attempt.Job().phase(), muster::v1::JOB_PHASE_TRAINING);
  attempt.Tick(absl::Seconds(1));
  EXPECT_EQ(attempt.Job().phase(), muster::v1::JOB_PHASE_RECOVERING);
  EXPECT_THAT(attempt.Job().attempts(0).end_reason(), HasSubstr("no progress for 5 s"));
}

// Messages of progress are dropped while no coordinator runs; the report of a rank's end is kept, and has the last one.
TEST(Liveness, AnAttemptThatEndsAfterARestartHasTheStepsOfItsLastProgress) {
  Attempt attempt;
  attempt.Progress(23);
  attempt.Restart();
  EXPECT_EQ(attempt.Job().progress().step(), 0);
  muster::internal::v1::Report report;
  report.mutable_rank_exited()->set_cause(muster::internal::v1::EXIT_CAUSE_SIGNAL);
  report.mutable_rank_exited()->mutable_progress()->set_step(60);
  attempt.Report(report);
  EXPECT_EQ(attempt.Job().phase(), muster::v1::JOB_PHASE_RECOVERING);
  EXPECT_EQ(attempt.Job().attempts(0).last_step(), 60);
  EXPECT_EQ(attempt.Job().progress().step(), 60);
  attempt.Restart();
  EXPECT_EQ(attempt.Job().progress().step(), 60) << "it is stored";
}

// The job ends by the report that has its last step: nothing of its soft state is left when the step is recorded.
TEST(Liveness, TheLastStepOfAJobThatSucceedsAfterARestartIsRecorded) {
  Attempt attempt;
  attempt.Restart();
  muster::internal::v1::Report report;
  report.mutable_exported()->set_manifest("export");
  attempt.Report(report);
  report.mutable_rank_exited()->set_cause(muster::internal::v1::EXIT_CAUSE_SUCCESS);
  report.mutable_rank_exited()->mutable_progress()->set_step(60);
  attempt.Report(report);
  EXPECT_EQ(attempt.Job().phase(), muster::v1::JOB_PHASE_SUCCEEDED);
  EXPECT_TRUE(attempt.soft().jobs.empty());
  EXPECT_THAT(attempt.steps(), testing::ElementsAre(60));
}

TEST(Liveness, TheLastStepOfARunningAttemptFollowsItsProgress) {
  Attempt attempt;
  attempt.Progress(23);
  EXPECT_EQ(attempt.Job().attempts(0).last_step(), 23);
}

}  // namespace
}  // namespace muster
