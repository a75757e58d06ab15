// Imports as operations, through the server.
#include "absl/time/clock.h"
#include "common/clock.h"
#include "coordinator/data/service/data_server_test_base.h"
#include "muster/v1/operation.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::HasSubstr;

class ImportOperations : public DataServerTest {
 protected:
  std::vector<v1::Operation> List(bool active = false) {
    grpc::ClientContext call;
    v1::ListOperationsRequest request;
    request.set_active_only(active);
    v1::ListOperationsResponse response;
    EXPECT_TRUE(v1::OperationService::NewStub(operator_)->ListOperations(&call, request, &response).ok());
    return {response.operations().begin(), response.operations().end()};
  }
  // Waits until an operation runs, and returns all that do.
  std::vector<v1::Operation> AwaitRunning() {
    std::vector<v1::Operation> running;
    const absl::Duration end = RealClock().Monotonic() + absl::Seconds(30);
    while (running.empty() && RealClock().Monotonic() < end) running = List(/*active=*/true);
    return running;
  }
  absl::StatusOr<v1::Operation> Cancel(const std::string& id) {
    grpc::ClientContext call;
    v1::CancelOperationRequest request;
    request.set_id(id);
    v1::CancelOperationResponse response;
    RETURN_IF_ERROR(FromGrpc(v1::OperationService::NewStub(operator_)->CancelOperation(&call, request, &response)));
    return response.operation();
  }
};

TEST_F(ImportOperations, AnImportIsListedWithWhatItBrought) {
  EXPECT_TRUE(List().empty());
  ASSERT_TRUE(Import(Header("set"), BeirFiles(5)).ok());
  EXPECT_EQ(Import(Header("set"), BeirFiles(5)).status().code(), absl::StatusCode::kAlreadyExists);
  const auto operations = List();
  ASSERT_EQ(operations.size(), 1u) << "an import that was refused for its header is not an operation";
  EXPECT_EQ(operations[0].kind(), v1::OPERATION_KIND_IMPORT);
  EXPECT_EQ(operations[0].subject(), "set");
  EXPECT_EQ(operations[0].phase(), v1::OPERATION_PHASE_SUCCEEDED);
  EXPECT_THAT(operations[0].reason(), HasSubstr("imported 5 queries"));
  EXPECT_NE(operations[0].owner(), "");
  EXPECT_TRUE(List(/*active=*/true).empty());
}

TEST_F(ImportOperations, AnImportWhoseClientSaysNothingIsCanceledAndLeavesNothing) {
  const auto before = StateListing();
  const auto import = BeginImport(Header("set"), "corpus.jsonl");
  const std::vector<v1::Operation> running = AwaitRunning();
  ASSERT_EQ(running.size(), 1u);
  EXPECT_EQ(running[0].phase(), v1::OPERATION_PHASE_RUNNING);
  const auto canceled = Cancel(running[0].id());
  ASSERT_TRUE(canceled.ok()) << canceled.status();
  EXPECT_EQ(canceled->phase(), v1::OPERATION_PHASE_CANCELED) << canceled->reason();
  EXPECT_THAT(canceled->reason(), HasSubstr("canceled by "));
  import->ReadToEnd();
  EXPECT_FALSE(import->stream->Finish().ok());
  EXPECT_EQ(StateListing(), before);
}

TEST_F(ImportOperations, ACanceledImportThatStillSendsLearnsWhoCanceledIt) {
  const auto import = BeginImport(Header("set"), "corpus.jsonl");
  const std::vector<v1::Operation> running = AwaitRunning();
  ASSERT_EQ(running.size(), 1u);
  std::thread send([&] {
    while (import->Send(R"({"_id": "1", "text": "a"})" "\n")) absl::SleepFor(absl::Milliseconds(1));
  });
  std::thread read([&] { import->ReadToEnd(); });  // otherwise the client would not see the end of the call either
  const auto canceled = Cancel(running[0].id());
  send.join();
  read.join();
  ASSERT_TRUE(canceled.ok()) << canceled.status();
  const absl::Status status = FromGrpc(import->stream->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_EQ(ReasonOf(status), "OPERATION_CANCELED");
  EXPECT_THAT(std::string(status.message()), HasSubstr("import: canceled by "));
}

}  // namespace
}  // namespace muster
