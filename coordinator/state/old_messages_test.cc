// Bytes that version 0.1.0 wrote or sent still mean the same. They were made by protoc from that version's proto files.
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "coordinator/core/state.h"
#include "muster/internal/v1/worker.pb.h"
#include "muster/v1/cluster.pb.h"

namespace muster {
namespace {

// The message, and whether nothing of it was left unknown.
template <typename Message>
Message Parsed(absl::string_view hex) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(absl::HexStringToBytes(hex)));
  EXPECT_TRUE(message.GetReflection()->GetUnknownFields(message).empty());
  return message;
}

TEST(OldMessages, HelloOfAnAgentThatCannotSave) {
  const auto message = Parsed<muster::internal::v1::AgentMessage>(
      "0a2c0a0277311201681a0363707528023004388008420269314a0c0a026a3110021802220200015205302e312e30");
  EXPECT_EQ(message.hello().worker(), "w1");
  EXPECT_EQ(message.hello().slots(), 2u);
  EXPECT_EQ(message.hello().version(), "0.1.0");
  ASSERT_EQ(message.hello().attempts_size(), 1);
  EXPECT_EQ(message.hello().attempts(0).running_ranks_size(), 2);
  EXPECT_EQ(message.hello().protocol(), 0u);
  EXPECT_FALSE(message.hello().draining());
}

TEST(OldMessages, ReportOfARanksEnd) {
  const auto message = Parsed<muster::internal::v1::AgentMessage>(
      "1a24080512026a3118023a1a080110022a1473746f7070656420616674657220737465702037");
  EXPECT_EQ(message.report().sequence(), 5u);
  EXPECT_EQ(message.report().rank_exited().rank(), 1u);
  EXPECT_EQ(message.report().rank_exited().cause(), muster::internal::v1::EXIT_CAUSE_STOPPED);
  EXPECT_EQ(message.report().rank_exited().message(), "stopped after step 7");
}

TEST(OldMessages, DesiredStateAsksNobodyToStop) {
  const auto message = Parsed<muster::internal::v1::CoordinatorMessage>(
      "12320803122e0a026a311002180220022a041202773132110a016e3a02103c520808011204080210024209081412016d18092801");
  EXPECT_EQ(message.desired().epoch(), 3u);
  ASSERT_EQ(message.desired().assignments_size(), 1);
  const muster::internal::v1::Assignment& assignment = message.desired().assignments(0);
  EXPECT_EQ(assignment.spec().duration().steps(), 60u);
  EXPECT_EQ(assignment.checkpoints(0).step(), 20u);
  EXPECT_FALSE(assignment.save_and_stop());
}

TEST(OldMessages, ADrainEvictsNobody) {
  const auto request = Parsed<muster::v1::DrainWorkerRequest>("0a02773110011a0172");
  EXPECT_EQ(request.worker(), "w1");
  EXPECT_TRUE(request.undo());
  EXPECT_FALSE(request.evict());
}

TEST(OldMessages, AJournalRecordOfARunningJobIsApplied) {
  const auto record = Parsed<Record>(
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

}  // namespace
}  // namespace muster
