#include "coordinator/core/run_time.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'000'000);

class RunTimeTest : public testing::Test {
 protected:
  // A job of 100 steps on two ranks, which took `step` of them in `seconds`.
  JobRecord& Job(const std::string& id, uint64_t step, double seconds) {
    JobRecord record;
    record.set_sequence(++sequence_);
    record.set_last_attempt(1);
    journal::v1::StoredJob& job = *record.mutable_job();
    job.set_id(id);
    job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
    job.mutable_spec()->mutable_model()->set_preset("tiny");
    job.mutable_spec()->mutable_batch()->set_queries(32);
    job.mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_GPU);
    job.mutable_resolved()->set_train_dataset("d");
    job.mutable_resolved()->set_total_steps(100);
    journal::v1::StoredAttempt& attempt = *job.add_attempts();
    attempt.set_number(1);
    attempt.mutable_ended();
    attempt.set_last_step(step);
    for (int rank = 0; rank < 2; ++rank) attempt.add_ranks()->set_rank(rank);
    job.mutable_progress()->set_step(step);
    job.mutable_progress()->set_train_seconds(seconds);
    EXPECT_TRUE(Apply(RecordOf(record), state_).ok());
    return state_.jobs.at(id);
  }
  // A job that never ran.
  JobRecord Fresh(const std::string& id) {
    JobRecord record = Job(absl::StrCat("like-", id), 0, 0);
    record.mutable_job()->clear_attempts();
    record.mutable_job()->clear_progress();
    record.mutable_job()->set_id(id);
    return record;
  }
  std::optional<absl::Duration> Longest(const JobRecord& record, uint32_t slots) {
    return LongestRun(state_, soft_, record, slots);
  }

  State state_;
  Soft soft_;
  uint64_t sequence_ = 0;
};

TEST_F(RunTimeTest, AJobThatRanBeforeTakesItsOwnPaceFromItsCheckpointOn) {
  JobRecord record = Job("a", 40, 80);
  record.mutable_job()->add_checkpoints()->set_step(30);
  EXPECT_EQ(Longest(record, 2), kSlower * absl::Seconds(140) + kBesideSteps);
  EXPECT_EQ(Longest(record, 1), kSlower * absl::Seconds(280) + kBesideSteps) << "one rank does the work of two";
  EXPECT_EQ(Longest(record, 8), kSlower * absl::Seconds(140) + kBesideSteps) << "more need not be faster";
}

TEST_F(RunTimeTest, AFreshJobTakesThePaceOfTheNewestOneThatDidTheSameWorkOnAsManyRanks) {
  Job("older", 100, 900);
  Job("newer", 100, 300);
  const JobRecord fresh = Fresh("f");
  EXPECT_EQ(Longest(fresh, 2), kSlower * absl::Seconds(300) + kBesideSteps);
  EXPECT_EQ(Longest(fresh, 4), std::nullopt);
  JobRecord other = fresh;
  other.mutable_job()->mutable_spec()->mutable_batch()->set_queries(64);
  EXPECT_EQ(Longest(other, 2), std::nullopt);
  other = fresh;
  other.mutable_job()->mutable_resolved()->set_train_dataset("another");
  EXPECT_EQ(Longest(other, 2), std::nullopt);
  other.mutable_job()->mutable_resolved()->clear_train_dataset();
  other.mutable_job()->mutable_resolved()->add_train_datasets("d");
  other.mutable_job()->mutable_resolved()->add_train_datasets("another");
  EXPECT_EQ(Longest(other, 2), std::nullopt) << "of two sets";
}

TEST_F(RunTimeTest, EvaluationsThatNobodyMeasuredLeaveTheTimeUnknown) {
  JobRecord record = Job("a", 50, 100);
  record.mutable_job()->mutable_spec()->mutable_evaluate()->set_dataset("d");
  record.mutable_job()->mutable_spec()->mutable_evaluate()->set_every_steps(20);
  EXPECT_EQ(Longest(record, 2), std::nullopt);
  record.mutable_job()->add_evaluations()->set_seconds(10);
  EXPECT_EQ(Longest(record, 2), kSlower * absl::Seconds(200 + 7 * 10) + kBesideSteps);
}

TEST_F(RunTimeTest, AnAttemptEndsAroundTheTimeThatItsProgressGives) {
  JobRecord record = Job("a", 0, 0);
  record.mutable_running()->set_number(2);
  SoftJob soft;
  EXPECT_EQ(EndOf(record, nullptr, kNow), EndEstimate());
  soft.attempt = 2;
  EXPECT_EQ(EndOf(record, &soft, kNow), EndEstimate()) << "no step yet";
  soft.progress.set_step(20);
  soft.progress.set_total_steps(100);
  soft.progress.set_eta_seconds(100);
  EXPECT_EQ(EndOf(record, &soft, kNow), (EndEstimate{kNow + absl::Seconds(80), kNow + absl::Seconds(125) + kBesideSteps}));
  record.mutable_job()->mutable_spec()->mutable_evaluate()->set_dataset("d");
  EXPECT_EQ(EndOf(record, &soft, kNow), (EndEstimate{kNow + absl::Seconds(80), absl::InfiniteFuture()}));
  record.mutable_job()->mutable_spec()->mutable_evaluate()->mutable_early_stop();
  EXPECT_EQ(EndOf(record, &soft, kNow), EndEstimate()) << "it may stop early";
  record.mutable_job()->mutable_spec()->clear_evaluate();
  soft.progress.set_step(100);
  soft.progress.set_eta_seconds(0);
  EXPECT_EQ(EndOf(record, &soft, kNow), (EndEstimate{absl::InfinitePast(), kNow + kBesideSteps})) << "it exports";
  record.mutable_running()->mutable_stop();
  EXPECT_EQ(EndOf(record, &soft, kNow), EndEstimate()) << "it saves and stops";
  record.mutable_running()->clear_stop();
  soft.attempt = 1;
  EXPECT_EQ(EndOf(record, &soft, kNow), EndEstimate()) << "that was the previous attempt";
}

}  // namespace
}  // namespace muster
