#include "client/watch_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "absl/strings/str_cat.h"
#include "common/rpc/security.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobPhase;

// Plays one script per call: states to send, then a status.
class ScriptedJobs final : public muster::v1::JobService::Service {
 public:
  struct Script {
    std::vector<JobPhase> phases;
    grpc::Status status;
  };
  grpc::Status WatchJob(grpc::ServerContext*, const muster::v1::WatchJobRequest* request,
                        grpc::ServerWriter<muster::v1::WatchJobResponse>* writer) override {
    const std::lock_guard lock(mutex_);
    if (calls >= static_cast<int>(scripts.size())) return {grpc::StatusCode::INTERNAL, "no script"};
    const Script& script = scripts[calls++];
    for (const JobPhase phase : script.phases) {
      muster::v1::WatchJobResponse response;
      response.mutable_job()->set_id(request->id());
      response.mutable_job()->set_phase(phase);
      writer->Write(response);
    }
    return script.status;
  }
  std::vector<Script> scripts;
  int calls = 0;

 private:
  std::mutex mutex_;
};

class WatchJobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    out_ = std::tmpfile();
    server_ = *RpcServer::Start({.address = "127.0.0.1:0", .security = {.insecure = true}, .services = {&service_}});
    channel_ = *MakeChannel(absl::StrCat("127.0.0.1:", server_->port()), {.insecure = true});
  }
  void TearDown() override { std::fclose(out_); }
  absl::StatusOr<Job> Watch(std::vector<ScriptedJobs::Script> scripts, const WatchOptions& options = {}) {
    service_.scripts = std::move(scripts);
    ProgressPrinter printer(out_, {});
    return WatchJob(channel_, "j1", printer, options);
  }
  FILE* out_ = nullptr;
  ScriptedJobs service_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(WatchJobTest, SurvivesARestartOfTheCoordinator) {
  const auto job = Watch({{{muster::v1::JOB_PHASE_QUEUED}, {grpc::StatusCode::UNAVAILABLE, "restart"}},
                          {{}, {grpc::StatusCode::CANCELLED, "shutdown"}},
                          {{muster::v1::JOB_PHASE_TRAINING}, grpc::Status::OK},
                          {{muster::v1::JOB_PHASE_TRAINING, muster::v1::JOB_PHASE_SUCCEEDED}, grpc::Status::OK}});
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->phase(), muster::v1::JOB_PHASE_SUCCEEDED);
  EXPECT_EQ(service_.calls, 4);
  EXPECT_EQ(ExitCodeOf(*job), 0);
}

TEST_F(WatchJobTest, GivesUpWhenItsPatienceEnds) {
  server_->Shutdown(absl::ZeroDuration());
  const auto job = Watch({}, {.patience = absl::Milliseconds(300)});
  EXPECT_EQ(job.status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(WatchJobTest, TheEndOfTheTimeoutSaysWhereTheJobIs) {
  const grpc::Status over(grpc::StatusCode::DEADLINE_EXCEEDED, "over");
  const auto paused = Watch({{{muster::v1::JOB_PHASE_TRAINING, muster::v1::JOB_PHASE_PAUSED}, over}}, {.timeout = absl::Minutes(1)});
  EXPECT_EQ(paused.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(paused.status().message()), ::testing::HasSubstr("Resume it with muster resume j1."));
  service_.calls = 0;
  const auto training = Watch({{{muster::v1::JOB_PHASE_TRAINING}, over}}, {.timeout = absl::Seconds(12)});
  EXPECT_EQ(training.status().message(), "job j1 is still training after 12 s. Follow it with muster watch j1.");
}

TEST_F(WatchJobTest, PassesOtherErrorsOn) {
  const auto job = Watch({{{}, {grpc::StatusCode::NOT_FOUND, "no job j1"}}});
  EXPECT_EQ(job.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(WatchJobTest, EndsOfJobsHaveExitCodes) {
  EXPECT_EQ(ExitCodeOf(*Watch({{{muster::v1::JOB_PHASE_FAILED}, grpc::Status::OK}})), 1);
  service_.calls = 0;
  EXPECT_EQ(ExitCodeOf(*Watch({{{muster::v1::JOB_PHASE_CANCELLED}, grpc::Status::OK}})), 3);
}

}  // namespace
}  // namespace muster
