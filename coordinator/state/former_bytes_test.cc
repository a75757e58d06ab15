// Bytes that former versions wrote to the journal still have the same meaning. protoc made them from those versions' proto
// files.
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "coordinator/core/check_state.h"
#include "coordinator/core/former_records.h"
#include "coordinator/core/state.h"

namespace muster {
namespace {

// Parses the record, and checks that no field is unknown.
Record RecordFrom(absl::string_view hex) {
  Record record;
  EXPECT_TRUE(record.ParseFromString(absl::HexStringToBytes(hex)));
  EXPECT_TRUE(record.GetReflection()->GetUnknownFields(record).empty());
  return record;
}

TEST(FormerBytes, ARecordOfFormat1IsARunningJob) {
  const auto record = RecordFrom(
      "124f0a2a0a026a3112070a016e3a02103c20042a08747261696e696e673203616e6152080801120412027731700410011a1a08011202080a1a02"
      "080b220a0a02773110011a0269312a0208013201724801");
  State state;
  ASSERT_TRUE(Apply(record, state).ok());
  const JobRecord* job = FindJob(state, "j1");
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->job().phase(), muster::v1::JOB_PHASE_TRAINING);
  EXPECT_EQ(job->running().grants(0).worker(), "w1");
  EXPECT_FALSE(job->running().has_stop());
  EXPECT_EQ(state.submissions.at(SubmissionKey("ana", "r")), "j1");
}

TEST(FormerBytes, ASnapshotOfFormat2IsAStateAndItsEnumerationsStay) {
  const absl::StatusOr<State> state = StateFromFormerSnapshot(absl::HexStringToBytes(
      "08041294010a590a026a31121f0a016e1a090a01641a04080410042207080415cdcc4c3d3a02103c5202080120042a11616c6c2072616e6b7320"
      "737461727465643203616e61520808011204120277315a09081412016d18092801700580010910011a300801120308e8071a0308e90722090a02"
      "773110011a01692a02080132130a0d70617573656420627920616e611801200b32017248011a0e0a0277311203637075180122017122036f6c64"));
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(CheckState(*state).ok()) << CheckState(*state);
  EXPECT_EQ(state->epoch, 4u);
  EXPECT_EQ(state->garbage, std::set<std::string>{"old"});
  EXPECT_TRUE(state->workers.at("w1").draining());
  const JobRecord* record = FindJob(*state, "j1");
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->job().phase(), muster::v1::JOB_PHASE_TRAINING);
  EXPECT_EQ(record->job().reason_code(), muster::v1::REASON_CODE_RUNNING);
  EXPECT_EQ(record->job().spec().loss().objective(), muster::v1::OBJECTIVE_LSEPAIR);
  EXPECT_EQ(record->job().spec().data().positives().choose(), muster::v1::CHOOSE_RANDOM);
  EXPECT_EQ(record->job().spec().resources().device(), muster::v1::DEVICE_CPU);
  EXPECT_EQ(record->job().checkpoints(0).manifest(), "m");
  EXPECT_TRUE(record->running().stop().pause());
  EXPECT_EQ(record->running().stop().code(), muster::v1::REASON_CODE_PAUSED);
}

TEST(FormerBytes, ARecordOfFormat2IsAWaitingJob) {
  Record record = RecordFrom("12290a210a026a3212080a026e322202080220012a0577616974733203616e617001800103100232027232");
  UpgradeFormerRecord(*record.mutable_job());
  const auto& job = record.job().job();
  EXPECT_EQ(job.id(), "j2");
  EXPECT_EQ(job.phase(), muster::v1::JOB_PHASE_QUEUED);
  EXPECT_EQ(job.reason_code(), muster::v1::REASON_CODE_WAITING_FOR_SLOTS);
  EXPECT_EQ(job.spec().loss().objective(), muster::v1::OBJECTIVE_RAND1LH);
}

}  // namespace
}  // namespace muster
