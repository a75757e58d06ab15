#include "coordinator/core/future_times.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "coordinator/core/job_machine.h"
#include "coordinator/core/retention.h"

namespace muster {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000000);

TEST(FutureTimes, CountAsNowWhereverTheyAre) {
  const auto later = ToProto(kNow + absl::Hours(1));
  JobRecord record;
  record.mutable_job()->set_id("a");
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_TRAINING);
  *record.mutable_job()->mutable_submitted() = ToProto(kNow - absl::Hours(1));
  *record.mutable_job()->add_attempts()->mutable_started() = later;
  *record.mutable_job()->add_checkpoints()->mutable_time() = later;
  *record.mutable_waiting_since() = later;
  *record.mutable_running()->mutable_reserved() = later;
  *record.mutable_running()->mutable_started() = later;
  *record.mutable_running()->mutable_stop()->mutable_since() = later;
  State state;
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  const std::vector<Record> records = WithoutFutureTimes(state, kNow);
  ASSERT_EQ(records.size(), 1);
  const JobRecord& fixed = records[0].job();
  EXPECT_EQ(FromProto(fixed.job().submitted()), kNow - absl::Hours(1));
  for (const auto* time : {&fixed.job().attempts(0).started(), &fixed.job().checkpoints(0).time(), &fixed.waiting_since(),
                           &fixed.running().reserved(), &fixed.running().started(), &fixed.running().stop().since()}) {
    EXPECT_EQ(FromProto(*time), kNow);
  }
  ASSERT_TRUE(Apply(records[0], state).ok());
  EXPECT_TRUE(WithoutFutureTimes(state, kNow).empty());
}

TEST(FutureTimes, OfANextAttemptStay) {
  JobRecord record;
  record.mutable_job()->set_id("a");
  *record.mutable_start_failures()->mutable_retry() = ToProto(kNow + absl::Minutes(1));
  State state;
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  EXPECT_TRUE(WithoutFutureTimes(state, kNow).empty());
}

TEST(FutureTimes, DoNotKeepAJobThatEndedForEver) {
  JobRecord record;
  record.mutable_job()->set_id("a");
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  *record.mutable_job()->mutable_ended() = ToProto(kNow + absl::Hours(24 * 3650));
  State state;
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  for (const Record& fixed : WithoutFutureTimes(state, kNow)) ASSERT_TRUE(Apply(fixed, state).ok());
  EXPECT_EQ(ExpiredJobs(state, kNow + absl::Seconds(1), 10).size(), 1);
}

TEST(FutureTimes, OfACheckpointWhoseHostIsAheadCountAsNow) {
  JobRecord record;
  record.mutable_job()->set_id("a");
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_TRAINING);
  record.mutable_job()->add_attempts()->set_number(1);
  record.mutable_running()->set_number(1);
  record.set_last_attempt(1);
  muster::internal::v1::CheckpointSaved saved;
  saved.mutable_checkpoint()->set_step(5);
  saved.mutable_checkpoint()->set_manifest("m");
  for (const absl::Duration ahead : {absl::Hours(1), -absl::Hours(1)}) {
    *saved.mutable_checkpoint()->mutable_time() = ToProto(kNow + ahead);
    const absl::StatusOr<Transition> transition = Advance(record, saved, kNow);
    ASSERT_TRUE(transition.ok()) << transition.status();
    ASSERT_EQ(transition->record.job().checkpoints_size(), 1);
    EXPECT_EQ(FromProto(transition->record.job().checkpoints(0).time()), std::min(kNow, kNow + ahead));
  }
}

}  // namespace
}  // namespace muster
