// Checks the metrics of Step() over whole lives of jobs.
#include <gtest/gtest.h>

#include <map>

#include "coordinator/core/gang.h"
#include "coordinator/core/step.h"

namespace muster {
namespace {

using muster::internal::v1::Report;

// One worker with two slots; time moves by ticks.
class Cluster {
 public:
  Cluster() { Restart(); }

  // A new coordinator: its agents connect again.
  void Restart() {
    sums_.clear();
    soft_ = Soft{now_};
    AgentHello hello;
    hello.session = 1;
    hello.hello.set_worker("w1");
    hello.hello.set_instance("i");
    hello.hello.set_device("cpu");
    hello.hello.set_slots(2);
    Give(hello);
  }

  void Submit() {
    SubmitJob submit;
    submit.job_id = "a";
    submit.owner = "ana";
    submit.spec.mutable_duration()->set_steps(60);
    submit.spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    submit.spec.mutable_resources()->mutable_slots()->set_min(2);
    submit.spec.mutable_resources()->mutable_slots()->set_max(2);
    submit.spec.mutable_checkpoint()->set_keep(3);
    Give(submit);
  }
  // Runs until both ranks of the attempt train.
  void Start(uint32_t attempt) {
    Say(attempt, [](Report& report) { report.mutable_prepared(); });
    for (uint32_t rank = 0; rank < 2; ++rank) {
      Say(attempt, [&](Report& report) { report.mutable_rank_started()->set_rank(rank); });
    }
  }
  template <typename Fill>
  void Say(uint32_t attempt, Fill fill) {
    AgentReport event{"w1", 1, {}};
    event.report.set_sequence(++sequence_);
    event.report.set_job_id("a");
    event.report.set_attempt(attempt);
    fill(event.report);
    Give(event);
  }
  void Exit(uint32_t attempt, muster::internal::v1::ExitCause cause) {
    for (uint32_t rank = 0; rank < 2; ++rank) {
      Say(attempt, [&](Report& report) {
        report.mutable_rank_exited()->set_rank(rank);
        report.mutable_rank_exited()->set_cause(rank == 0 ? cause : muster::internal::v1::EXIT_CAUSE_STOPPED);
      });
    }
  }
  void Train(uint32_t attempt, uint64_t step, const std::string& activity = "training", double data_share = 0) {
    AgentProgress event{"w1", 1, {}};
    event.progress.set_job_id("a");
    event.progress.set_attempt(attempt);
    event.progress.mutable_progress()->set_step(step);
    event.progress.mutable_progress()->set_activity(activity);
    (*event.progress.mutable_progress()->mutable_seconds())["data"] = data_share;
    (*event.progress.mutable_progress()->mutable_seconds())["encode"] = 1 - data_share;
    Give(event);
  }
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now_ += absl::Seconds(1);
      Give(AgentHeartbeat{"w1", 1, {}});
      Give(Tick{});
    }
  }
  void PassSilently(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now_ += absl::Seconds(1);
      Give(Tick{});
    }
  }
  void Give(const Event& event) {
    bool replan = true;
    Event next = event;
    while (replan) {
      const Decision decision = Step(state_, soft_, next, now_);
      for (const Record& record : decision.records) ASSERT_TRUE(Apply(record, state_).ok());
      for (const Effect& effect : decision.effects) {
        const auto* measured = std::get_if<Measured>(&effect);
        if (measured == nullptr) continue;
        sums_[{measured->measure, measured->label}] += measured->value;
      }
      replan = decision.replan;
      next = Plan{};
    }
  }
  double Sum(Measure measure, const std::string& label = "") const {
    const auto found = sums_.find({measure, label});
    return found == sums_.end() ? 0 : found->second;
  }
  double Goodput(const std::string& phase) const { return Sum(Measure::kGoodputSeconds, phase); }

  const journal::v1::StoredJob& OnlyJob() const { return state_.jobs.begin()->second.job(); }

 private:
  State state_;
  Soft soft_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  uint64_t sequence_ = 0;
  std::map<std::pair<Measure, std::string>, double> sums_;
};

TEST(Measure, GoodputIsDividedByWhatSlotsWereSpentOn) {
  Cluster cluster;
  cluster.Pass(1);
  cluster.Submit();
  cluster.Pass(3);  // reserving: w1 has not prepared
  cluster.Start(1);
  cluster.Train(1, 0, "evaluating (untrained)");
  cluster.Pass(5);
  cluster.Train(1, 1, "training", 0.25);
  cluster.Pass(8);
  cluster.Train(1, 1, "saving a checkpoint");
  cluster.Pass(2);
  EXPECT_DOUBLE_EQ(cluster.Goodput("start"), 6);
  EXPECT_DOUBLE_EQ(cluster.Goodput("evaluate"), 10);
  EXPECT_DOUBLE_EQ(cluster.Goodput("data"), 4);
  EXPECT_DOUBLE_EQ(cluster.Goodput("train"), 12);
  EXPECT_DOUBLE_EQ(cluster.Goodput("checkpoint"), 4);
  EXPECT_DOUBLE_EQ(cluster.Goodput("lost"), 0);
}

TEST(Measure, WhatAFailedAttemptDidSinceItsCheckpointIsLost) {
  Cluster cluster;
  cluster.Pass(1);
  cluster.Submit();
  cluster.Start(1);
  cluster.Train(1, 1);
  cluster.Pass(10);
  cluster.Say(1, [](Report& report) {
    muster::v1::CheckpointInfo& checkpoint = *report.mutable_checkpoint()->mutable_checkpoint();
    checkpoint.set_manifest("m");
    checkpoint.set_step(50);
    checkpoint.set_bytes(1000);
    checkpoint.set_seconds(2);
  });
  cluster.Pass(4);
  cluster.Exit(1, muster::internal::v1::EXIT_CAUSE_SIGNAL);
  EXPECT_DOUBLE_EQ(cluster.Goodput("lost"), 2 * 2 + 2 * 4);
  EXPECT_EQ(cluster.Sum(Measure::kCheckpoints), 1);
  EXPECT_EQ(cluster.Sum(Measure::kCheckpointBytes), 1000);
  EXPECT_EQ(cluster.Sum(Measure::kCheckpointSeconds), 2);
  EXPECT_EQ(cluster.OnlyJob().checkpoints(0).seconds(), 0) << "measured, and not kept";
}

TEST(Measure, RecoveryEndsAtTheFirstStepOfTheNextAttempt) {
  Cluster cluster;
  cluster.Submit();
  cluster.Start(1);
  cluster.Train(1, 1);
  cluster.Exit(1, muster::internal::v1::EXIT_CAUSE_SIGNAL);
  cluster.Pass(6);
  cluster.Start(2);
  cluster.Train(2, 0, "loading the model");
  EXPECT_EQ(cluster.Sum(Measure::kRecoverySeconds), 0);
  cluster.Pass(3);
  cluster.Train(2, 1);
  EXPECT_EQ(cluster.Sum(Measure::kRecoverySeconds), 9);
  cluster.Pass(3);
  cluster.Train(2, 2);
  EXPECT_EQ(cluster.Sum(Measure::kRecoverySeconds), 9);
}

TEST(Measure, ACoordinatorThatStartsAgainAccountsForAttemptsThatNothingChanged) {
  Cluster cluster;
  cluster.Submit();
  cluster.Start(1);
  cluster.Pass(1);
  cluster.Restart();
  cluster.Pass(4);
  EXPECT_DOUBLE_EQ(cluster.Goodput("start"), 2 * 3) << "the first tick only begins the account";
  cluster.Train(1, 1);
  cluster.Pass(2);
  EXPECT_DOUBLE_EQ(cluster.Goodput("train"), 2 * 2);
}

TEST(Measure, ASilenceIsCountedOnce) {
  Cluster cluster;
  cluster.PassSilently(40);
  EXPECT_EQ(cluster.Sum(Measure::kSilences), 1);
}

TEST(Measure, AJobThatKeepsWaitingForTheSameReasonIsOneDecision) {
  Cluster cluster;
  cluster.PassSilently(16);
  cluster.Submit();
  cluster.PassSilently(5);
  EXPECT_EQ(cluster.Sum(Measure::kDecisions, "waiting"), 1);
  cluster.Pass(1);
  EXPECT_EQ(cluster.Sum(Measure::kDecisions, "placed"), 1);
}

TEST(Measure, RanksThatDisagreeAreCountedAndTheAttemptFails) {
  Cluster cluster;
  cluster.Submit();
  cluster.Start(1);
  cluster.Train(1, 1);
  cluster.Exit(1, muster::internal::v1::EXIT_CAUSE_DISAGREEMENT);
  EXPECT_EQ(cluster.Sum(Measure::kRankDisagreements), 1);
  cluster.Pass(1);
  cluster.Start(2);  // the next attempt runs: the failure is not permanent
  cluster.Train(2, 1);
  EXPECT_EQ(cluster.Sum(Measure::kDecisions, "placed"), 2);
}

TEST(Measure, AnEpochThatIsClosedAgainCountsItsQueriesOnceAndItsFaultsAlways) {
  Cluster cluster;
  cluster.Submit();
  cluster.Start(1);
  const auto close = [&](uint32_t attempt, uint64_t epoch, uint64_t committed, uint64_t missing) {
    cluster.Say(attempt, [&](Report& report) {
      report.mutable_epoch_closed()->set_epoch(epoch);
      report.mutable_epoch_closed()->set_committed(committed);
      report.mutable_epoch_closed()->set_missing(missing);
    });
  };
  close(1, 0, 100, 0);
  cluster.Exit(1, muster::internal::v1::EXIT_CAUSE_SIGNAL);
  cluster.Pass(1);
  cluster.Start(2);
  close(2, 0, 98, 2);
  close(2, 1, 100, 0);
  EXPECT_EQ(cluster.Sum(Measure::kEpochQueries, "committed"), 200);
  EXPECT_EQ(cluster.Sum(Measure::kEpochQueries, "missing"), 2);
  EXPECT_EQ(cluster.Sum(Measure::kEpochQueries, "duplicated"), 0);
}

}  // namespace
}  // namespace muster
