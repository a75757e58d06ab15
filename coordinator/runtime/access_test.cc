// Which callers may call which RPCs of the coordinator, through sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "common/rpc/access/testing_matrix.h"
#include "common/rpc/access/ticket.h"
#include "common/rpc/errors.h"
#include "common/rpc/metadata.h"
#include "common/version.h"
#include "coordinator/runtime/testing/fake_cluster.h"
#include "muster/v1/cluster.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::JobService;

class CoordinatorAccess : public testing::Test {
 protected:
  void SetUp() override {
    auto cluster = FakeCluster::Start();
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    AccessMatrix::WriteTokens(cluster_->folder());
    cluster_->tokens = cluster_->folder() / "tokens.yaml";
  }
  void Start() {
    const absl::Status started = cluster_->StartCoordinator();
    ASSERT_TRUE(started.ok()) << started;
    matrix_.emplace(cluster_->folder(), absl::StrCat("127.0.0.1:", cluster_->coordinator().port()));
  }
  absl::StatusOr<std::string> Submit(const std::shared_ptr<grpc::Channel>& channel, const muster::v1::JobSpec& spec) {
    grpc::ClientContext context;
    muster::v1::SubmitJobRequest request;
    muster::v1::SubmitJobResponse response;
    *request.mutable_spec() = spec;
    const absl::Status status = FromGrpc(JobService::NewStub(channel)->SubmitJob(&context, request, &response));
    if (!status.ok()) return status;
    return response.job().id();
  }
  absl::Status Cancel(const std::shared_ptr<grpc::Channel>& channel, const std::string& id) {
    muster::v1::CancelJobRequest request;
    request.set_id(id);
    return CallByName(channel, "JobService/CancelJob", request.SerializeAsString(), "cancel-" + id);
  }
  std::vector<nlohmann::json> Audit() {
    std::vector<nlohmann::json> lines;
    const std::string text = ReadFile(cluster_->folder() / "state/audit/audit.jsonl").value();
    for (const auto line : absl::StrSplit(text, '\n', absl::SkipEmpty()))
      lines.push_back(nlohmann::json::parse(std::string(line)));
    return lines;
  }

  std::unique_ptr<FakeCluster> cluster_;
  std::optional<AccessMatrix> matrix_;
};

TEST_F(CoordinatorAccess, EveryRpcIsForItsRolesAlone) {
  Start();
  matrix_->Check({"JobService/", "ClusterService/", "WorkerService/", "BackupService/", "OperationService/"});
}

TEST_F(CoordinatorAccess, ASubmitterCommandsOnlyOwnJobs) {
  Start();
  const auto ana = matrix_->WithCertificate(Role::kSubmitter, "ana"),
             bob = matrix_->WithCertificate(Role::kSubmitter, "bob");
  const std::string first = Submit(ana, SmallJob(1)).value(), second = Submit(ana, SmallJob(1)).value();
  EXPECT_EQ(ReasonOf(Cancel(bob, first)), "NOT_OWNER");
  EXPECT_EQ(Cancel(bob, first).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(Cancel(ana, first).ok());
  EXPECT_TRUE(Cancel(matrix_->WithToken("mst_operator"), second).ok());
  EXPECT_EQ(Cancel(bob, "nothing").code(), absl::StatusCode::kNotFound);
}

TEST_F(CoordinatorAccess, TheAuditLogTellsChangesAndRefusalsAndNoSecrets) {
  Start();
  const std::string id = Submit(matrix_->WithToken("mst_submitter"), SmallJob(1)).value();
  const auto bob = matrix_->WithCertificate(Role::kSubmitter, "bob");
  EXPECT_FALSE(Cancel(bob, id).ok());
  muster::v1::GetJobRequest get;
  get.set_id(id);
  EXPECT_TRUE(CallByName(bob, "JobService/GetJob", get.SerializeAsString()).ok());
  EXPECT_FALSE(CallByName(matrix_->WithToken("mst_stolen-secret"), "JobService/ListJobs").ok());
  const auto lines = Audit();
  ASSERT_EQ(lines.size(), 3u) << "reading is not audited";
  EXPECT_EQ(lines[0]["method"], "JobService/SubmitJob");
  EXPECT_EQ(lines[0]["user"], "token-user");
  EXPECT_EQ(lines[0]["role"], "submitter");
  EXPECT_EQ(lines[0]["proof"], "token");
  EXPECT_EQ(lines[0]["subject"], id);
  EXPECT_EQ(lines[0]["outcome"], "OK");
  EXPECT_EQ(lines[1]["method"], "JobService/CancelJob");
  EXPECT_EQ(lines[1]["user"], "bob");
  EXPECT_EQ(lines[1]["outcome"], "PERMISSION_DENIED");
  EXPECT_EQ(lines[1]["request_id"], "cancel-" + id);
  EXPECT_EQ(lines[2]["method"], "JobService/ListJobs");
  EXPECT_EQ(lines[2]["outcome"], "UNAUTHENTICATED");
  EXPECT_EQ(ReadFile(cluster_->folder() / "state/audit/audit.jsonl")->find("stolen-secret"), std::string::npos);
}

TEST_F(CoordinatorAccess, ACallerLearnsWhoItsTokenIsOf) {
  Start();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  muster::v1::GetClusterResponse response;
  const auto stub = muster::v1::ClusterService::NewStub(matrix_->WithToken("mst_viewer"));
  ASSERT_TRUE(stub->GetCluster(&context, {}, &response).ok());
  const auto& metadata = context.GetServerInitialMetadata();
  const auto caller = metadata.find(kCallerMetadata);
  ASSERT_NE(caller, metadata.end());
  EXPECT_EQ(std::string(caller->second.data(), caller->second.size()).rfind("viewer ", 0), 0u);
}

TEST_F(CoordinatorAccess, ARevokedTokenEndsItsStreams) {
  Start();
  const auto channel = matrix_->WithToken("mst_viewer");
  const auto jobs = JobService::NewStub(channel);
  grpc::ClientContext watch_context, logs_context;
  muster::v1::WatchJobRequest watch;
  muster::v1::StreamJobLogsRequest logs;
  watch.set_id(Submit(matrix_->WithToken("mst_submitter"), SmallJob(1)).value());
  logs.set_id(watch.id());
  logs.set_follow(true);
  const auto watching = jobs->WatchJob(&watch_context, watch);
  const auto following = jobs->StreamJobLogs(&logs_context, logs);
  muster::v1::WatchJobResponse job;
  ASSERT_TRUE(watching->Read(&job));
  ASSERT_TRUE(WriteFileAtomically(cluster_->tokens, "tokens: []\n").ok());
  while (watching->Read(&job)) {
  }
  muster::v1::StreamJobLogsResponse log;
  EXPECT_FALSE(following->Read(&log));
  for (const grpc::Status& status : {watching->Finish(), following->Finish()}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
    EXPECT_EQ(ReasonOf(FromGrpc(status)), "TOKEN_UNKNOWN");
  }
}

TEST_F(CoordinatorAccess, ARevokedTokenEndsItsWorkersSession) {
  Start();
  grpc::ClientContext context;
  const auto session =
      muster::internal::v1::WorkerService::NewStub(matrix_->WithToken("mst_worker"))->Session(&context);
  muster::internal::v1::AgentMessage message;
  muster::internal::v1::CoordinatorMessage answer;
  message.mutable_hello()->set_worker("token-user");
  message.mutable_hello()->set_instance("i1");
  message.mutable_hello()->set_slots(1);
  message.mutable_hello()->set_device("cpu");
  message.mutable_hello()->set_version(OwnVersionText());
  ASSERT_TRUE(session->Write(message));
  ASSERT_TRUE(session->Read(&answer));
  ASSERT_TRUE(WriteFileAtomically(cluster_->tokens, "tokens: []\n").ok());
  absl::Notification ended;
  std::thread heartbeats([&] {
    message.mutable_heartbeat();
    do session->Write(message);
    while (!ended.WaitForNotificationWithTimeout(absl::Milliseconds(100)));
  });
  while (session->Read(&answer)) {
  }
  ended.Notify();
  heartbeats.join();
  EXPECT_FALSE(session->Finish().ok());
}

TEST_F(CoordinatorAccess, ACallerThatCallsTooOftenLearnsWhenToRetry) {
  cluster_->limits = {.calls_per_second = 2, .burst = 3};
  Start();
  const auto ana = matrix_->WithCertificate(Role::kViewer, "ana");
  absl::Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) status = CallByName(ana, "JobService/ListJobs", "", "mine");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "RATE_LIMITED");
  EXPECT_GT(RateLimitOf(status), absl::ZeroDuration());
  EXPECT_LE(RateLimitOf(status), absl::Milliseconds(500));
  EXPECT_EQ(RequestIdOf(status), "mine");
  EXPECT_TRUE(CallByName(matrix_->WithCertificate(Role::kViewer, "bob"), "JobService/ListJobs").ok())
      << "another user's limit";
  absl::SleepFor(RateLimitOf(status));
  EXPECT_TRUE(CallByName(ana, "JobService/ListJobs").ok()) << "after the pause that the server asked for";
}

TEST_F(CoordinatorAccess, LimitsTheJobsOfAUserAndTheSizeOfRequests) {
  cluster_->max_active_jobs = 2;
  Start();
  const auto ana = matrix_->WithCertificate(Role::kSubmitter, "ana");
  const std::string first = Submit(ana, SmallJob(1)).value();
  ASSERT_TRUE(Submit(ana, SmallJob(1)).ok());
  const absl::Status third = Submit(ana, SmallJob(1)).status();
  EXPECT_EQ(third.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(third), "TOO_MANY_JOBS");
  EXPECT_TRUE(Submit(matrix_->WithCertificate(Role::kSubmitter, "bob"), SmallJob(1)).ok());
  EXPECT_TRUE(Cancel(ana, first).ok());
  EXPECT_TRUE(Submit(ana, SmallJob(1)).ok());

  muster::v1::JobSpec large = SmallJob(1);
  large.mutable_model()->mutable_prompts()->set_query(std::string(2 << 20, 'x'));
  EXPECT_EQ(ReasonOf(Submit(ana, large).status()), "REQUEST_TOO_LARGE");
  large.mutable_model()->mutable_prompts()->set_query(std::string(5 << 20, 'x'));
  EXPECT_EQ(Submit(ana, large).status().code(), absl::StatusCode::kResourceExhausted) << "not even read";
}

TEST_F(CoordinatorAccess, AWildcardIsForWorkersWhoseNamesBeginSo) {
  Start();
  const auto gpus = matrix_->WithCertificate(Role::kWorker, "gpu-*");
  FakeAgent good(gpus, "gpu-0", 1);
  EXPECT_TRUE(good.WaitForNothing());
  EXPECT_GT(good.epoch(), 0u);
  FakeAgent bad(gpus, "cpu-0", 1);
  EXPECT_EQ(bad.Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(CoordinatorAccess, AWorkerMeetsRanksOfItsOwnAttemptsAndGetsATicketForThem) {
  Start();
  FakeAgent one(matrix_->WithCertificate(Role::kWorker, "w1"), "w1", 1);
  ASSERT_TRUE(one.WaitForNothing());
  const std::string id = Submit(matrix_->WithCertificate(Role::kSubmitter, "ana"), SmallJob(1)).value();
  ASSERT_TRUE(one.Begin(id, {0}));
  muster::internal::v1::RendezvousRequest request;
  request.set_job_id(id);
  request.set_attempt(1);
  request.mutable_count();
  const auto meet = [&](const std::string& worker) {
    return CallByName(matrix_->WithCertificate(Role::kWorker, worker), "WorkerService/Rendezvous",
                      request.SerializeAsString());
  };
  EXPECT_TRUE(meet("w1").ok());
  EXPECT_EQ(ReasonOf(meet("w2")), "NOT_ASSIGNED");
  std::string ticket;
  ASSERT_TRUE(one.WaitForDesired([&](const muster::internal::v1::DesiredState& desired) {
    if (desired.assignments().empty()) return false;
    ticket = desired.assignments(0).ticket();
    return true;
  }));
  const auto read = ReadTicket(ticket, ReadFile(cluster_->folder() / "authority/ca.pem").value(), RealClock().Now());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->job_id(), id);
  EXPECT_EQ(read->worker(), "w1");
  EXPECT_THAT(read->ranks(), testing::ElementsAre(0));
}

TEST_F(CoordinatorAccess, AWorkerReportsForItsOwnRanksAlone) {
  Start();
  FakeAgent one(matrix_->WithCertificate(Role::kWorker, "w1"), "w1", 1);
  ASSERT_TRUE(one.WaitForNothing());
  const auto ana = matrix_->WithCertificate(Role::kSubmitter, "ana");
  const std::string id = Submit(ana, SmallJob(1)).value();
  ASSERT_TRUE(one.Begin(id, {0}));
  FakeAgent two(matrix_->WithCertificate(Role::kWorker, "w2"), "w2", 1);
  ASSERT_TRUE(two.WaitForNothing());
  muster::internal::v1::AgentMessage lie;
  lie.mutable_progress()->set_job_id(id);
  lie.mutable_progress()->set_attempt(1);
  lie.mutable_progress()->mutable_progress()->set_step(59);
  two.Send(lie);
  ASSERT_TRUE(two.WaitForAck(two.Exit(id, 1, 0, muster::internal::v1::EXIT_CAUSE_ERROR, "a lie")));
  grpc::ClientContext context;
  muster::v1::GetJobRequest request;
  muster::v1::GetJobResponse response;
  request.set_id(id);
  ASSERT_TRUE(JobService::NewStub(ana)->GetJob(&context, request, &response).ok());
  EXPECT_EQ(response.job().phase(), muster::v1::JOB_PHASE_TRAINING);
  EXPECT_EQ(response.job().attempts_size(), 1);
  EXPECT_EQ(response.job().progress().step(), 0u);
}

}  // namespace
}  // namespace muster
