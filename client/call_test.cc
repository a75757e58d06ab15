#include "client/call.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::CancelJobRequest;
using muster::v1::CancelJobResponse;
using muster::v1::JobService;

// Returns its canned answers in order, and records the request ids.
class Scripted final : public JobService::Service {
 public:
  explicit Scripted(std::deque<grpc::Status> answers) : answers_(std::move(answers)) {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    stub_ = JobService::NewStub(server_->InProcessChannel({}));
  }

  grpc::Status CancelJob(grpc::ServerContext*, const CancelJobRequest* request, CancelJobResponse* response) override {
    request_ids.push_back(request->request_id());
    const grpc::Status answer = answers_.front();
    answers_.pop_front();
    response->mutable_job()->set_id(request->id());
    return answer;
  }
  absl::StatusOr<CancelJobResponse> Ask() {
    CancelJobRequest request;
    request.set_id("a");
    request.set_request_id("r");
    return Call<JobService::Stub, CancelJobRequest, CancelJobResponse>(*stub_, &JobService::Stub::CancelJob, request);
  }

  std::vector<std::string> request_ids;

 private:
  std::deque<grpc::Status> answers_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<JobService::Stub> stub_;
};

const grpc::Status kGoesDown(grpc::StatusCode::UNAVAILABLE, "goes down");
const grpc::Status kCutOff(grpc::StatusCode::CANCELLED, "CANCELLED");
const grpc::Status kRefused(grpc::StatusCode::FAILED_PRECONDITION, "has ended");

TEST(Call, IsRepeatedWithItsRequestIdWhereNoAnswerCame) {
  // A server that shuts down cancels the calls that are still running after its grace period.
  Scripted server({kGoesDown, kCutOff, grpc::Status::OK});
  const auto answer = server.Ask();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->job().id(), "a");
  EXPECT_THAT(server.request_ids, testing::ElementsAre("r", "r", "r"));
}

TEST(Call, IsNotRepeatedAfterAnAnswer) {
  Scripted server({kRefused});
  EXPECT_EQ(server.Ask().status().message(), "has ended");
  EXPECT_EQ(server.request_ids.size(), 1);
}

}  // namespace
}  // namespace muster
