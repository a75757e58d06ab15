#include "coordinator/core/check_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace muster {
namespace {

using ::testing::HasSubstr;

// Job a trains on both slots of w0.
JobRecord Training(const std::string& id = "a") {
  JobRecord record;
  record.mutable_job()->set_id(id);
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_TRAINING);
  record.set_last_attempt(2);
  record.mutable_running()->set_number(2);
  record.mutable_running()->mutable_started()->set_seconds(5);
  record.mutable_running()->add_grants()->set_worker("w0");
  auto& attempt = *record.mutable_job()->add_attempts();
  attempt.set_number(2);
  for (uint32_t rank = 0; rank < 2; ++rank) {
    record.mutable_running()->add_ranks();
    attempt.add_ranks()->set_rank(rank);
    attempt.mutable_ranks(static_cast<int>(rank))->set_worker("w0");
    attempt.mutable_ranks(static_cast<int>(rank))->set_slot(rank);
  }
  return record;
}

absl::Status Check(const JobRecord& record) {
  State state;
  EXPECT_TRUE(Apply(RecordOf(record), state).ok());
  return CheckState(state);
}

TEST(CheckState, TakesAWholeOne) {
  EXPECT_TRUE(CheckState(State()).ok());
  EXPECT_TRUE(Check(Training()).ok()) << Check(Training());
}

TEST(CheckState, NamesWhatIsBroken) {
  const std::pair<const char*, std::function<void(JobRecord&)>> breaks[] = {
      {"no phase", [](JobRecord& job) { job.mutable_job()->set_phase(static_cast<muster::v1::JobPhase>(77)); }},
      {"is queued, which does not fit", [](JobRecord& job) { job.mutable_job()->set_phase(muster::v1::JOB_PHASE_QUEUED); }},
      {"is training, which does not fit", [](JobRecord& job) { job.clear_running(); }},
      {"not its newest", [](JobRecord& job) { job.mutable_running()->set_number(1); }},
      {"not its newest", [](JobRecord& job) { job.mutable_job()->clear_attempts(); }},
      {"another phase", [](JobRecord& job) { job.mutable_running()->clear_started(); }},
      {"without a state", [](JobRecord& job) { job.mutable_running()->clear_ranks(); }},
      {"nobody granted", [](JobRecord& job) { job.mutable_running()->clear_grants(); }},
      {"nobody granted", [](JobRecord& job) { job.mutable_job()->mutable_attempts(0)->mutable_ranks(1)->set_rank(7); }},
      {"another rank has", [](JobRecord& job) { job.mutable_job()->mutable_attempts(0)->mutable_ranks(1)->set_slot(0); }},
      {"number for another", [](JobRecord& job) { job.set_last_attempt(UINT32_MAX); }},
  };
  for (const auto& [words, apply] : breaks) {
    JobRecord record = Training();
    apply(record);
    const absl::Status status = Check(record);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << words;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  }
}

TEST(CheckState, NoSlotHasRanksOfTwoJobs) {
  State state;
  ASSERT_TRUE(Apply(RecordOf(Training("a")), state).ok());
  ASSERT_TRUE(Apply(RecordOf(Training("b")), state).ok());
  EXPECT_THAT(std::string(CheckState(state).message()), HasSubstr("job \"b\" has a slot that another rank has"));
}

}  // namespace
}  // namespace muster
