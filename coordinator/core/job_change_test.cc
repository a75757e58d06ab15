#include "coordinator/core/job_change.h"

#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"
#include "coordinator/core/check_state.h"
#include "coordinator/core/message_change.h"

namespace muster {
namespace {

JobRecord Running(int ranks) {
  JobRecord record;
  record.mutable_job()->set_id("a");
  record.mutable_job()->set_owner("ada");
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_STARTING);
  record.set_sequence(1);
  record.set_last_attempt(1);
  record.mutable_running()->set_number(1);
  record.mutable_running()->add_grants()->set_worker("w1");
  auto& info = *record.mutable_job()->add_attempts();
  info.set_number(1);
  for (int rank = 0; rank < ranks; ++rank) {
    record.mutable_running()->add_ranks();
    info.add_ranks()->set_rank(rank);
    info.mutable_ranks(rank)->set_worker("w1");
  }
  return record;
}

using Disturbance = std::function<void(JobRecord&)>;

// Applies the change as the coordinator does. Returns whether derived state did not need an update.
bool Take(const Disturbance& disturb) {
  State state;
  EXPECT_TRUE(Apply(RecordOf(Running(100)), state).ok());
  JobRecord after = Running(100);
  disturb(after);
  const Record record = SmallestRecord(RecordOf(after), state);
  EXPECT_TRUE(record.has_change());
  EXPECT_TRUE(Apply(record, state).ok());
  EXPECT_EQ(DeterministicBytes(state.jobs.at("a")), DeterministicBytes(after));
  EXPECT_TRUE(CheckDerived(state).ok()) << CheckDerived(state);
  return KeepsDerived(record.change().change());
}

TEST(JobChange, OfARanksOrAWorkersStateNeedsNoLookAtAllRanks) {
  EXPECT_TRUE(Take([](JobRecord& r) { r.mutable_running()->mutable_ranks(7)->set_started(true); }));
  EXPECT_TRUE(Take([](JobRecord& r) { r.mutable_running()->mutable_ranks(7)->set_succeeded(true); r.mutable_job()->set_revision(9); }));
  EXPECT_TRUE(Take([](JobRecord& r) { r.mutable_running()->mutable_grants(0)->set_prepared(true); }));
  EXPECT_TRUE(Take([](JobRecord& r) { r.mutable_running()->mutable_stop()->set_reason("w1 drains"); }));
  EXPECT_TRUE(Take([](JobRecord& r) { r.mutable_job()->add_evaluations()->set_label("step-1"); }));
}

TEST(JobChange, OfWhatIsDerivedIsFollowed) {
  const Disturbance disturbances[] = {
      [](JobRecord& r) { r.mutable_job()->set_phase(muster::v1::JOB_PHASE_TRAINING); },
      [](JobRecord& r) { r.mutable_running()->mutable_grants(0)->set_worker("w2"); },
      [](JobRecord& r) { r.mutable_job()->mutable_attempts(0)->mutable_ranks(3)->set_worker("w3"); },
      [](JobRecord& r) { r.mutable_running()->add_ranks(); },
      [](JobRecord& r) { r.mutable_running()->add_grants()->set_worker("w4"); },
      [](JobRecord& r) { r.clear_running(); },
      [](JobRecord& r) { r.set_cause_pending(true); },
      [](JobRecord& r) { r.add_requests("pause/ada/1"); },
      [](JobRecord& r) { r.mutable_job()->mutable_spec()->set_name("other"); },
      [](JobRecord& r) { r.mutable_job()->mutable_submitted()->set_seconds(5); },
      [](JobRecord& r) { r.set_sequence(12); },
      [](JobRecord& r) { r.mutable_job()->add_checkpoints()->set_manifest("m"); },
      [](JobRecord& r) { r.mutable_job()->set_export_manifest("m"); },
  };
  for (const Disturbance& disturb : disturbances) EXPECT_FALSE(Take(disturb));
}

TEST(JobChange, OfAJobThatDoesNotExistIsRefused) {
  State state;
  Record record;
  record.mutable_change()->set_id("a");
  EXPECT_EQ(Apply(record, state).code(), absl::StatusCode::kDataLoss);
}

TEST(JobChange, CannotGiveAJobAnotherId) {
  State state;
  ASSERT_TRUE(Apply(RecordOf(Running(1)), state).ok());
  JobRecord other = Running(1);
  other.mutable_job()->set_id("b");
  Record record;
  record.mutable_change()->set_id("a");
  *record.mutable_change()->mutable_change() = ChangeOf(Running(1), other);
  EXPECT_EQ(Apply(record, state).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(CheckDerived(state).ok()) << CheckDerived(state);
}

TEST(JobChange, ANewJobIsWrittenWhole) { EXPECT_TRUE(SmallestRecord(RecordOf(Running(1)), State()).has_job()); }

}  // namespace
}  // namespace muster
