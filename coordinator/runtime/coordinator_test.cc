#include "coordinator/runtime/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/match.h"
#include "common/clock.h"
#include "common/rpc/metadata.h"
#include "coordinator/runtime/testing/fake_cluster.h"
#include "muster/v1/cluster.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobPhase;
using muster::v1::JobService;
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
    muster::v1::SubmitJobRequest request;
    muster::v1::SubmitJobResponse response;
    *request.mutable_spec() = spec;
    request.set_request_id(request_id);
    const grpc::Status status = jobs_->SubmitJob(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job().id();
  }

  Job Get(const std::string& id) {
    grpc::ClientContext context;
    muster::v1::GetJobRequest request;
    muster::v1::GetJobResponse response;
    request.set_id(id);
    const grpc::Status status = jobs_->GetJob(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job();
  }

  // Watches until the job is in this phase. Returns its last state, in another phase if the stream ended before.
  Job WatchUntil(const std::string& id, JobPhase phase) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    muster::v1::WatchJobRequest request;
    request.set_id(id);
    const auto stream = jobs_->WatchJob(&context, request);
    muster::v1::WatchJobResponse response;
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
    muster::internal::v1::Report report;
    report.set_job_id(job);
    report.set_attempt(attempt);
    report.mutable_exported()->set_manifest(std::string(64, 'e'));
    agent.Send(report);
  }

  std::string BeginJobThatKeepsOneCheckpoint(FakeAgent& agent) {
    muster::v1::JobSpec spec = SmallJob(1);
    spec.mutable_checkpoint()->set_keep(1);
    const std::string id = Submit(spec);
    EXPECT_TRUE(agent.Begin(id, {0}));
    return id;
  }

  static std::string ManifestOf(const std::vector<std::string>& digests) {
    muster::v1::FileManifest manifest;
    for (const std::string& digest : digests) {
      manifest.add_files()->set_digest(digest);
      manifest.mutable_files(manifest.files_size() - 1)->set_path("file" + std::to_string(manifest.files_size()));
    }
    return manifest.SerializeAsString();
  }

  static muster::internal::v1::Report Stored(const std::string& job, uint64_t step, const std::string& manifest) {
    muster::internal::v1::Report report;
    report.set_job_id(job);
    report.set_attempt(1);
    report.mutable_checkpoint()->mutable_checkpoint()->set_step(step);
    report.mutable_checkpoint()->mutable_checkpoint()->set_manifest(manifest);
    return report;
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
  agent->Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_SUCCESS);
  agent->Exit(id, 1, 1, muster::internal::v1::EXIT_CAUSE_SUCCESS);
  const Job job = WatchUntil(id, JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(job.phase(), JobPhase::JOB_PHASE_SUCCEEDED) << job.reason();
  EXPECT_EQ(job.export_manifest(), std::string(64, 'e'));
  EXPECT_TRUE(agent->WaitForNothing());
}

TEST_F(CoordinatorTest, AJobThatSucceededLetsItsCheckpointsGoUnlessAnotherJobIsMadeOfThem) {
  const auto checkpoint = [&](FakeAgent& agent, const std::string& job) {
    muster::v1::FileManifest manifest;
    manifest.add_files()->set_digest(cluster_->data().blobs.Put("weights of " + job));
    muster::internal::v1::Report report;
    report.set_job_id(job);
    report.set_attempt(1);
    report.mutable_checkpoint()->mutable_checkpoint()->set_step(20);
    report.mutable_checkpoint()->mutable_checkpoint()->set_manifest(cluster_->data().blobs.Put(manifest.SerializeAsString()));
    EXPECT_TRUE(agent.WaitForAck(agent.Send(report)));
    return report.checkpoint().checkpoint().manifest();
  };
  const auto succeed = [&](FakeAgent& agent, const std::string& job) {
    muster::internal::v1::Report report;
    report.set_job_id(job);
    report.set_attempt(1);
    report.mutable_exported()->set_manifest(std::string(64, 'e'));
    report.mutable_exported()->set_step_log(std::string(64, 'f'));
    agent.Send(report);
    agent.Exit(job, 1, 0, muster::internal::v1::EXIT_CAUSE_SUCCESS);
    const Job ended = WatchUntil(job, JobPhase::JOB_PHASE_SUCCEEDED);
    EXPECT_EQ(ended.phase(), JobPhase::JOB_PHASE_SUCCEEDED) << ended.reason();
    EXPECT_EQ(ended.checkpoints_size(), 0);
    EXPECT_EQ(ended.step_log_manifest(), std::string(64, 'f'));
  };
  auto agent = Agent("w1", 2);
  const std::string used = Submit(SmallJob(1)), unused = Submit(SmallJob(1));
  ASSERT_TRUE(agent->Begin(used, {0}));
  ASSERT_TRUE(agent->Begin(unused, {0}));
  const std::string kept = checkpoint(*agent, used), dropped = checkpoint(*agent, unused);

  muster::v1::JobSpec next = SmallJob(1);
  next.mutable_model()->clear_preset();
  next.mutable_model()->clear_tokenizer();
  next.mutable_model()->set_from("job:" + used + "@20");
  cluster_->data().knows_checkpoints = false;
  {
    grpc::ClientContext context;
    muster::v1::SubmitJobRequest request;
    muster::v1::SubmitJobResponse response;
    *request.mutable_spec() = next;
    EXPECT_EQ(jobs_->SubmitJob(&context, request, &response).error_code(), grpc::StatusCode::UNIMPLEMENTED)
        << "it would train from what the other job began with";
  }
  cluster_->data().knows_checkpoints = true;
  const std::string waiting = Submit(next);
  EXPECT_EQ(Get(waiting).resolved().model_checkpoint().manifest(), kept);
  EXPECT_EQ(Get(waiting).resolved().model_checkpoint().step(), 20u);

  succeed(*agent, used);
  succeed(*agent, unused);  // collected after the other one
  EXPECT_TRUE(cluster_->data().blobs.WaitUntilGone(dropped, absl::Seconds(20)));
  EXPECT_TRUE(cluster_->data().blobs.Has(kept)) << "a job that waits is made of it";
}

TEST_F(CoordinatorTest, ADryRunAnswersWithThePlanAndLeavesNoTrace) {
  const auto run = [&](const std::string& train, muster::v1::SubmitJobResponse& response) {
    grpc::ClientContext context;
    muster::v1::SubmitJobRequest request;
    *request.mutable_spec() = SmallJob(2);
    request.mutable_spec()->mutable_data()->set_train(train);
    request.set_dry_run(true);
    request.set_request_id(std::string(200, '-'));  // a dry run ignores it
    return jobs_->SubmitJob(&context, request, &response);
  };
  muster::v1::SubmitJobResponse response;
  grpc::Status status = run("topics", response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.job().id(), "");
  EXPECT_EQ(response.job().spec().batch().queries(), 32) << "with its defaults";
  EXPECT_EQ(response.job().spec().resources().device(), muster::v1::DEVICE_CPU) << "as it would be decided";
  EXPECT_EQ(response.job().resolved().total_steps(), 60);
  EXPECT_EQ(response.preview().total_steps(), 60);
  EXPECT_EQ(response.preview().seconds(), 0);
  EXPECT_THAT(response.preview().notes(), testing::ElementsAre(HasSubstr("time: not known")));
  status = run("absent", response);
  EXPECT_EQ(status.error_message(), "there is no dataset \"absent\"");

  grpc::ClientContext context;
  muster::v1::ListJobsResponse jobs;
  ASSERT_TRUE(jobs_->ListJobs(&context, muster::v1::ListJobsRequest(), &jobs).ok());
  EXPECT_EQ(jobs.jobs_size(), 0);
}

TEST_F(CoordinatorTest, HandsOnWhatTheDataServerNotesOfASubmission) {
  grpc::ClientContext context;
  muster::v1::SubmitJobRequest request;
  muster::v1::SubmitJobResponse response;
  *request.mutable_spec() = SmallJob(1);
  request.mutable_spec()->mutable_data()->set_train("noted");
  const grpc::Status status = jobs_->SubmitJob(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(NotesOf(context), testing::ElementsAre("the first note", "\xC3\xA9"));
}

TEST_F(CoordinatorTest, HandsOnWhatTheDataServerNotesOfACollection) {
  const auto cluster = muster::v1::ClusterService::NewStub(cluster_->ChannelAs(Role::kOperator, "ada"));
  muster::v1::CollectGarbageRequest request;
  request.set_request_id("once");
  for (int i = 0; i < 2; ++i) {  // the second call gets the first answer
    grpc::ClientContext context;
    muster::v1::CollectGarbageResponse response;
    const grpc::Status status = cluster->CollectGarbage(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_THAT(NotesOf(context), testing::ElementsAre("a manifest can never be read"));
  }
}

TEST_F(CoordinatorTest, RunsTheNextAttemptWhenARankIsKilled) {
  auto agent1 = Agent("w1", 1), agent2 = Agent("w2", 1);
  const std::string id = Submit(SmallJob(2));
  std::thread other([&] { EXPECT_TRUE(agent2->Begin(id, {1})); });
  EXPECT_TRUE(agent1->Begin(id, {0}));
  other.join();
  agent2->Exit(id, 1, 1, muster::internal::v1::EXIT_CAUSE_SIGNAL, "killed");
  ASSERT_TRUE(agent1->WaitForNothing());
  agent1->Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_STOPPED);
  std::thread again([&] { EXPECT_TRUE(agent2->Begin(id, {1}, 2)); });
  EXPECT_TRUE(agent1->Begin(id, {0}, 2));
  again.join();
  const Job job = WatchUntil(id, JobPhase::JOB_PHASE_TRAINING);
  ASSERT_EQ(job.attempts_size(), 2);
  EXPECT_EQ(job.attempts(0).end_reason(), "rank 1 on w2: killed");
}

TEST_F(CoordinatorTest, KeepsARunningJobOverItsRestart) {
  auto agent = Agent("w1", 1);
  const std::string id = Submit(SmallJob(1), "request-1");
  ASSERT_TRUE(agent->Begin(id, {0}));
  EXPECT_EQ(agent->epoch(), 1);
  cluster_->StopCoordinator();
  EXPECT_FALSE(agent->Finish().ok());
  ASSERT_TRUE(cluster_->StartCoordinator().ok());
  jobs_ = cluster_->Jobs();
  EXPECT_EQ(Get(id).phase(), JobPhase::JOB_PHASE_TRAINING);
  EXPECT_EQ(Submit(SmallJob(1), "request-1"), id);
  auto same = Agent("w1", 1);
  ASSERT_TRUE(same->WaitForAssignment(id, muster::internal::v1::ASSIGNMENT_PHASE_RUN));
  EXPECT_EQ(same->epoch(), 2);
  Export(*same, id);
  same->Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_SUCCESS);
  const Job job = WatchUntil(id, JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(job.phase(), JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(job.attempts_size(), 1);
}

TEST_F(CoordinatorTest, AWatchContinuesAfterARevision) {
  auto agent = Agent("w1", 1);
  const std::string id = Submit(SmallJob(1));
  ASSERT_TRUE(agent->Begin(id, {0}));
  const Job seen = WatchUntil(id, JobPhase::JOB_PHASE_TRAINING);
  cluster_->StopCoordinator();
  agent->Finish();
  ASSERT_TRUE(cluster_->StartCoordinator().ok());
  jobs_ = cluster_->Jobs();
  grpc::ClientContext context;
  muster::v1::WatchJobRequest request;
  request.set_id(id);
  request.set_after_revision(seen.revision());
  const auto stream = jobs_->WatchJob(&context, request);
  auto same = Agent("w1", 1);
  ASSERT_TRUE(same->WaitForAssignment(id, muster::internal::v1::ASSIGNMENT_PHASE_RUN));
  Export(*same, id);
  same->Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_SUCCESS);
  muster::v1::WatchJobResponse response;
  Job last = seen;
  while (stream->Read(&response)) {
    EXPECT_GT(response.job().revision(), last.revision()) << "no state twice";
    last = response.job();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(last.phase(), JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(last.reason_code(), muster::v1::REASON_CODE_SUCCEEDED);
  EXPECT_EQ(last.attempts(0).end_code(), muster::v1::REASON_CODE_SUCCEEDED);

  grpc::ClientContext again;
  request.set_after_revision(last.revision());
  const auto ended = jobs_->WatchJob(&again, request);
  EXPECT_FALSE(ended->Read(&response)) << "its last state was seen";
  EXPECT_TRUE(ended->Finish().ok());
}

TEST_F(CoordinatorTest, KeepsAJobsMetricsByStepUntilItIsDeleted) {
  auto agent = Agent("w1", 1);
  const std::string id = Submit(SmallJob(1));
  ASSERT_TRUE(agent->Begin(id, {0}));
  const auto progress = [&](uint64_t step) {
    muster::internal::v1::AgentMessage message;
    message.mutable_progress()->set_job_id(id);
    message.mutable_progress()->set_attempt(1);
    message.mutable_progress()->mutable_progress()->set_step(step);
    message.mutable_progress()->mutable_progress()->set_loss(1.0 / static_cast<double>(step));
    agent->Send(message);
  };
  progress(1);
  grpc::ClientContext follow;
  muster::v1::StreamJobMetricsRequest request;
  request.set_id(id);
  request.set_follow(true);
  const auto stream = jobs_->StreamJobMetrics(&follow, request);
  muster::v1::StreamJobMetricsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.points(0).step(), 1);
  progress(2);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.points(0).step(), 2);
  EXPECT_EQ(response.points(0).loss(), 0.5);

  const auto remove = [&](const std::string& job, const std::string& request_id) {
    grpc::ClientContext context;
    muster::v1::DeleteJobRequest request;
    request.set_id(job);
    request.set_request_id(request_id);
    muster::v1::DeleteJobResponse response;
    return jobs_->DeleteJob(&context, request, &response).error_code();
  };
  EXPECT_EQ(remove(id, "r1"), grpc::StatusCode::FAILED_PRECONDITION) << "it runs";
  Export(*agent, id);
  agent->Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_SUCCESS);
  WatchUntil(id, JobPhase::JOB_PHASE_SUCCEEDED);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok()) << "a follower ends with the job";
  grpc::ClientContext context;
  request.set_after_step(1);
  const auto ended = jobs_->StreamJobMetrics(&context, request);
  ASSERT_TRUE(ended->Read(&response));
  ASSERT_EQ(response.points_size(), 1);
  EXPECT_EQ(response.points(0).step(), 2);
  EXPECT_FALSE(ended->Read(&response));

  EXPECT_EQ(remove(id, "r2"), grpc::StatusCode::OK);
  EXPECT_EQ(remove(id, "r2"), grpc::StatusCode::OK) << "sent again";
  EXPECT_EQ(remove("other", "r2"), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(remove(id, "r3"), grpc::StatusCode::NOT_FOUND);
}

TEST_F(CoordinatorTest, SaysWhichDataServerAJobWaitsFor) {
  const auto agent = Agent("w1", 1);
  const std::string id = Submit(SmallJob(1));
  ASSERT_TRUE(agent->Begin(id, {0}));
  WatchUntil(id, JobPhase::JOB_PHASE_TRAINING);
  cluster_->StopDataServer();
  muster::internal::v1::AgentMessage message;
  muster::internal::v1::ObservedAttempt& observed = *message.mutable_heartbeat()->add_attempts();
  observed.set_job_id(id);
  observed.set_attempt(1);
  observed.add_running_ranks(0);
  observed.add_activities()->set_unreachable("data server");
  std::string reason;
  const absl::Duration deadline = RealClock().Monotonic() + absl::Seconds(30);
  while (!absl::StrContains(reason, "waiting for data server 127.0.0.1:") && RealClock().Monotonic() < deadline) {
    agent->Send(message);
    reason = Get(id).reason();
  }
  EXPECT_THAT(reason, HasSubstr(", unreachable for "));
}

TEST(CoordinatorOptions, RefusesASecondDataServerAndSaysWhy) {
  Coordinator::Options options;
  options.data_address = "d1:7072,d2:7072";
  const absl::Status status = Coordinator::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("only on the server where they were imported"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("Name one server"));
}

TEST_F(CoordinatorTest, ADrainedWorkersJobIsSavedAndContinuesElsewhere) {
  auto agent1 = Agent("w1", 1);
  FakeAgent& leaving = *agent1;
  const std::string id = Submit(SmallJob(1));
  ASSERT_TRUE(leaving.Begin(id, {0}));
  auto agent2 = Agent("w2", 1);
  muster::internal::v1::AgentMessage draining;
  draining.mutable_heartbeat()->set_draining(true);
  leaving.Send(draining);
  ASSERT_TRUE(leaving.WaitForDesired([](const muster::internal::v1::DesiredState& desired) {
    return desired.assignments_size() == 1 && desired.assignments(0).save_and_stop();
  }));
  muster::internal::v1::Report saved;
  saved.set_job_id(id);
  saved.set_attempt(1);
  saved.mutable_checkpoint()->mutable_checkpoint()->set_step(7);
  saved.mutable_checkpoint()->mutable_checkpoint()->set_manifest(std::string(64, 'c'));
  leaving.Send(saved);
  leaving.Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_STOPPED);
  ASSERT_TRUE(agent2->Begin(id, {0}, 2));
  const Job job = WatchUntil(id, JobPhase::JOB_PHASE_TRAINING);
  ASSERT_EQ(job.attempts_size(), 2);
  EXPECT_EQ(job.attempts(1).from_step(), 7);
  EXPECT_THAT(job.attempts(0).end_reason(), HasSubstr("drains"));
}

TEST_F(CoordinatorTest, CancelsOnceForARepeatedRequest) {
  const std::string id = Submit(SmallJob(1));
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    muster::v1::CancelJobRequest request;
    muster::v1::CancelJobResponse response;
    request.set_id(id);
    request.set_request_id("c");
    ASSERT_TRUE(jobs_->CancelJob(&context, request, &response).ok());
    EXPECT_EQ(response.job().phase(), JobPhase::JOB_PHASE_CANCELLED);
    EXPECT_EQ(response.job().revision(), 2);
  }
}

TEST_F(CoordinatorTest, RefusesWhatIsWrong) {
  const auto submit = [&](muster::v1::JobSpec spec) {
    grpc::ClientContext context;
    muster::v1::SubmitJobRequest request;
    muster::v1::SubmitJobResponse response;
    *request.mutable_spec() = std::move(spec);
    return jobs_->SubmitJob(&context, request, &response);
  };
  muster::v1::JobSpec spec = SmallJob(1);
  spec.set_name("No Name");
  EXPECT_EQ(submit(spec).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  spec = SmallJob(1);
  spec.mutable_data()->set_train("absent");
  EXPECT_EQ(submit(spec).error_code(), grpc::StatusCode::NOT_FOUND);
  spec = SmallJob(1);
  spec.mutable_model()->clear_preset();
  spec.mutable_model()->set_from("job:nothing");
  EXPECT_EQ(submit(spec).error_code(), grpc::StatusCode::NOT_FOUND);
  const std::string id = Submit(SmallJob(1));
  spec.mutable_model()->set_from("job:" + id);
  EXPECT_EQ(submit(spec).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(CoordinatorTest, AcceptsNoNewWorkWithoutSpace) {
  cluster_->StopCoordinator();
  cluster_->min_free_bytes = uint64_t{1} << 60;
  ASSERT_TRUE(cluster_->StartCoordinator().ok());
  jobs_ = cluster_->Jobs();
  grpc::ClientContext context;
  muster::v1::SubmitJobRequest request;
  muster::v1::SubmitJobResponse response;
  *request.mutable_spec() = SmallJob(1);
  const grpc::Status status = jobs_->SubmitJob(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("MiB free"));
}

TEST_F(CoordinatorTest, KnowsWhoCalls) {
  const auto as_worker = JobService::NewStub(cluster_->ChannelAs(Role::kWorker, "w1"));
  grpc::ClientContext context;
  muster::v1::ListJobsResponse jobs;
  EXPECT_EQ(as_worker->ListJobs(&context, {}, &jobs).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  FakeAgent liar(cluster_->ChannelAs(Role::kWorker, "w1"), "w2", 1);
  EXPECT_EQ(liar.Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  FakeAgent user(cluster_->ChannelAs(Role::kOperator, "ada"), "ada", 1);
  EXPECT_EQ(user.Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(CoordinatorTest, ListsInPagesNewestFirst) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.insert(ids.begin(), Submit(SmallJob(1)));
  std::vector<std::string> listed;
  std::string token;
  do {
    grpc::ClientContext context;
    muster::v1::ListJobsRequest request;
    muster::v1::ListJobsResponse page;
    request.set_page_size(2);
    request.set_page_token(token);
    ASSERT_TRUE(jobs_->ListJobs(&context, request, &page).ok());
    for (const Job& job : page.jobs()) listed.push_back(job.id());
    token = page.next_page_token();
  } while (!token.empty());
  EXPECT_EQ(listed, ids);
}

TEST_F(CoordinatorTest, FollowsLogsToTheEnd) {
  auto agent = Agent("w1", 1);
  const std::string id = Submit(SmallJob(1));
  ASSERT_TRUE(agent->Begin(id, {0}));
  const auto say = [&](const std::string& text) {
    muster::internal::v1::AgentMessage message;
    message.mutable_log()->set_job_id(id);
    message.mutable_log()->set_attempt(1);
    message.mutable_log()->set_text(text);
    agent->Send(message);
  };
  say("one\n");
  grpc::ClientContext context;
  muster::v1::StreamJobLogsRequest request;
  request.set_id(id);
  request.set_follow(true);
  const auto stream = jobs_->StreamJobLogs(&context, request);
  muster::v1::StreamJobLogsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.text(), "one\n");
  say("two\n");
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.text(), "two\n");
  say("last");
  agent->Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_PERMANENT, "no");
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.text(), "last");
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(CoordinatorTest, LetsRanksMeetUntilTheAttemptEnds) {
  auto agent = Agent("w1", 1);
  const std::string id = Submit(SmallJob(1));
  ASSERT_TRUE(agent->Begin(id, {0}));
  const auto stub = muster::internal::v1::WorkerService::NewStub(cluster_->ChannelAs(Role::kWorker, "w1"));
  muster::internal::v1::RendezvousRequest request;
  request.set_job_id(id);
  request.set_attempt(1);
  muster::internal::v1::RendezvousResponse response;
  {
    grpc::ClientContext context;
    request.mutable_add()->set_key("ranks");
    request.mutable_add()->set_amount(1);
    ASSERT_TRUE(stub->Rendezvous(&context, request, &response).ok());
    EXPECT_EQ(response.number(), 1);
  }
  request.mutable_get()->add_keys("never");
  request.mutable_get()->set_timeout_milliseconds(30000);
  std::thread exit([&] { agent->Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_ERROR, "x"); });
  grpc::ClientContext context;
  EXPECT_EQ(stub->Rendezvous(&context, request, &response).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  exit.join();
}

TEST_F(CoordinatorTest, DeletesBlobsOfDroppedCheckpointsAlone) {
  auto agent = Agent("w1", 1);
  const std::string id = BeginJobThatKeepsOneCheckpoint(*agent);
  auto& blobs = cluster_->data().blobs;
  const std::string shared = blobs.Put("configuration");
  std::vector<std::string> own, manifests;
  for (int step : {20, 40}) {
    own.push_back(blobs.Put("weights " + std::to_string(step)));
    manifests.push_back(blobs.Put(ManifestOf({shared, own.back()})));
    agent->Send(Stored(id, step, manifests.back()));
  }
  EXPECT_TRUE(blobs.WaitUntilGone(own[0], absl::Seconds(20)));
  EXPECT_FALSE(blobs.Has(manifests[0]));
  EXPECT_TRUE(blobs.Has(shared));
  EXPECT_TRUE(blobs.Has(own[1]));
  EXPECT_TRUE(blobs.Has(manifests[1]));
}

TEST_F(CoordinatorTest, AManifestThatCannotBeCollectedHoldsUpNoOther) {
  auto agent = Agent("w1", 1);
  const std::string id = BeginJobThatKeepsOneCheckpoint(*agent);
  auto& blobs = cluster_->data().blobs;
  const std::string weights = blobs.Put("weights");
  const std::string unreachable = blobs.Put(ManifestOf({blobs.Put("others")})), dropped = blobs.Put(ManifestOf({weights})),
                    last = blobs.Put(ManifestOf({blobs.Put("last")}));
  blobs.Refuse(unreachable);
  agent->Send(Stored(id, 20, unreachable));
  agent->Send(Stored(id, 40, dropped));
  agent->Send(Stored(id, 60, last));
  EXPECT_TRUE(blobs.WaitUntilGone(weights, absl::Seconds(20)));
  EXPECT_TRUE(blobs.Has(unreachable)) << "tried again later";
}

TEST_F(CoordinatorTest, ADamagedManifestThatIsKeptHoldsUpNoOther) {
  auto agent = Agent("w1", 1);
  const std::string id = BeginJobThatKeepsOneCheckpoint(*agent);
  auto& blobs = cluster_->data().blobs;
  const std::string weights = blobs.Put("weights");
  agent->Send(Stored(id, 20, blobs.Put(ManifestOf({weights}))));
  agent->Send(Stored(id, 40, blobs.Put("these bytes cannot be parsed")));
  EXPECT_TRUE(blobs.WaitUntilGone(weights, absl::Seconds(20)));
}

TEST_F(CoordinatorTest, ShowsWorkersAndDrainsThem) {
  auto agent = Agent("w1", 2);
  const std::string id = Submit(SmallJob(1));
  ASSERT_TRUE(agent->Begin(id, {0}));
  const auto cluster = muster::v1::ClusterService::NewStub(cluster_->ChannelAs(Role::kOperator, "ada"));
  grpc::ClientContext drain_context, list_context, queue_context;
  muster::v1::DrainWorkerRequest drain;
  muster::v1::DrainWorkerResponse drained;
  drain.set_worker("w1");
  ASSERT_TRUE(cluster->DrainWorker(&drain_context, drain, &drained).ok());
  EXPECT_EQ(drained.worker().state(), muster::v1::WORKER_STATE_DRAINING);
  muster::v1::ListWorkersResponse workers;
  ASSERT_TRUE(cluster->ListWorkers(&list_context, {}, &workers).ok());
  ASSERT_EQ(workers.workers_size(), 1);
  EXPECT_EQ(workers.workers(0).slots(0).job_id(), id);
  EXPECT_EQ(workers.workers(0).slots(1).job_id(), "");
  muster::v1::ListQueuesResponse queues;
  ASSERT_TRUE(cluster->ListQueues(&queue_context, {}, &queues).ok());
  ASSERT_EQ(queues.queues_size(), 1);
  EXPECT_EQ(queues.queues(0).name(), "default");
  EXPECT_EQ(queues.queues(0).slots_used(), 1);
}

TEST_F(CoordinatorTest, ShowsProgressToWatchers) {
  auto agent = Agent("w1", 1);
  const std::string id = Submit(SmallJob(1));
  ASSERT_TRUE(agent->Begin(id, {0}));
  grpc::ClientContext context;
  muster::v1::WatchJobRequest request;
  request.set_id(id);
  const auto stream = jobs_->WatchJob(&context, request);
  muster::v1::WatchJobResponse response;
  ASSERT_TRUE(stream->Read(&response));
  muster::internal::v1::AgentMessage message;
  message.mutable_progress()->set_job_id(id);
  message.mutable_progress()->set_attempt(1);
  message.mutable_progress()->mutable_progress()->set_step(7);
  message.mutable_progress()->mutable_progress()->set_loss(0.5);
  agent->Send(message);
  while (response.job().progress().step() != 7) ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.job().progress().loss(), 0.5);
  context.TryCancel();
  stream->Finish();
}

}  // namespace
}  // namespace muster
