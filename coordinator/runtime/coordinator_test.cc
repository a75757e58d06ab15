#include "coordinator/runtime/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/core/state.h"
#include "coordinator/runtime/fake_cluster.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobPhase;
using muster::v1::JobService;
using testing::ElementsAre;
using testing::HasSubstr;

class CoordinatorTest : public testing::Test {
 protected:
  void SetUp() override {
    auto cluster = FakeCluster::Start();
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    const absl::Status started = cluster_->StartCoordinator();
    ASSERT_TRUE(started.ok()) << started;
    jobs_ = cluster_->Jobs();
  }

  std::string Submit(const muster::v1::JobSpec& spec, const std::string& request_id = "") {
    grpc::ClientContext context;
    muster::v1::SubmitRequest request;
    muster::v1::SubmitResponse response;
    *request.mutable_spec() = spec;
    request.set_request_id(request_id);
    const grpc::Status status = jobs_->Submit(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job().id();
  }

  Job Get(const std::string& id) {
    grpc::ClientContext context;
    muster::v1::GetJobRequest request;
    muster::v1::GetJobResponse response;
    request.set_id(id);
    const grpc::Status status = jobs_->Get(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job();
  }

  // Watches until the job is in this phase. Its last view; of another phase if the stream ended before.
  Job WatchUntil(const std::string& id, JobPhase phase) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    muster::v1::WatchRequest request;
    request.set_id(id);
    const auto stream = jobs_->Watch(&context, request);
    muster::v1::WatchResponse response;
    while (stream->Read(&response)) {
      if (response.job().phase() == phase) break;
    }
    context.TryCancel();
    stream->Finish();
    return response.job();
  }

  std::unique_ptr<FakeAgent> Agent(const std::string& name, uint32_t slots, const std::string& instance = "one") {
    return std::make_unique<FakeAgent>(cluster_->ChannelAs(Role::kWorker, name), name, slots, instance);
  }

  void Export(FakeAgent& agent, const std::string& job, uint32_t attempt = 1) {
    muster::v1::Report report;
    report.set_job_id(job);
    report.set_attempt(attempt);
    report.mutable_exported()->set_manifest(std::string(64, 'e'));
    agent.Send(report);
  }

  std::unique_ptr<FakeCluster> cluster_;
  std::unique_ptr<JobService::Stub> jobs_;
};

TEST_F(CoordinatorTest, RunsAJobFromSubmissionToSuccess) {
  const std::string id = Submit(SmallJob(2));
  EXPECT_EQ(Get(id).phase(), JobPhase::JOB_PHASE_QUEUED);
  EXPECT_EQ(Get(id).owner(), "ada");
  auto agent = Agent("w1", 2);
  ASSERT_TRUE(agent->Begin(id, {0, 1}));
  EXPECT_EQ(WatchUntil(id, JobPhase::JOB_PHASE_TRAINING).phase(), JobPhase::JOB_PHASE_TRAINING);
  Export(*agent, id);
  agent->Exit(id, 1, 0, muster::v1::EXIT_CAUSE_SUCCESS);
  agent->Exit(id, 1, 1, muster::v1::EXIT_CAUSE_SUCCESS);
  const Job job = WatchUntil(id, JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(job.phase(), JobPhase::JOB_PHASE_SUCCEEDED) << job.reason();
  EXPECT_EQ(job.export_manifest(), std::string(64, 'e'));
  EXPECT_TRUE(agent->WaitForNothing());
}

}  // namespace
}  // namespace muster
