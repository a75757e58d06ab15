#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/rpc/errors.h"
#include "common/rpc/security.h"
#include "muster/v1/model.grpc.pb.h"

namespace muster {
namespace {

// Holds every call until the test lets it answer.
class Patient final : public muster::v1::ModelService::Service {
 public:
  grpc::Status ListModels(grpc::ServerContext*, const muster::v1::ListModelsRequest*,
                          muster::v1::ListModelsResponse*) override {
    answer.WaitForNotification();
    return grpc::Status::OK;
  }
  absl::Notification answer;
};

TEST(ThreadQuota, ACallBeyondItIsRefusedAndRunningCallsContinue) {
  constexpr int kCalls = 64;
  Patient patient;
  const auto server = RpcServer::Start({.address = "127.0.0.1:0", .security = {.insecure = true}, .services = {&patient},
                                        .max_threads = 32});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = MakeChannel(absl::StrCat("127.0.0.1:", (*server)->port()), {.insecure = true}).value();
  std::atomic<int> answered = 0, refused = 0, other = 0;
  std::atomic<bool> told = false;
  std::vector<std::thread> calls;
  for (int i = 0; i < kCalls; ++i) {
    calls.emplace_back([&] {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
      muster::v1::ListModelsResponse response;
      const absl::Status status = FromGrpc(
          muster::v1::ModelService::NewStub(channel)->ListModels(&context, muster::v1::ListModelsRequest(), &response));
      ++(status.ok() ? answered : absl::IsResourceExhausted(status) ? refused : other);
      // The first refusal shows that the limit is reached: calls that hold a thread may end now.
      if (absl::IsResourceExhausted(status) && !told.exchange(true)) patient.answer.Notify();
    });
  }
  for (std::thread& call : calls) call.join();
  EXPECT_GT(refused, 0);
  EXPECT_GT(answered, 0);
  EXPECT_EQ(other, 0);
}

}  // namespace
}  // namespace muster
