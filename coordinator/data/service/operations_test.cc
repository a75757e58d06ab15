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
  ASSERT_EQ(operations.size(), 1u) << "the one that was refused for its header is none";
  EXPECT_EQ(operations[0].kind(), v1::OPERATION_KIND_IMPORT);
  EXPECT_EQ(operations[0].subject(), "set");
  EXPECT_EQ(operations[0].phase(), v1::OPERATION_PHASE_SUCCEEDED);
  EXPECT_THAT(operations[0].reason(), HasSubstr("imported 5 queries"));
  EXPECT_NE(operations[0].owner(), "");
  EXPECT_TRUE(List(/*active=*/true).empty());
}

TEST_F(ImportOperations, AnImportWhoseClientSaysNothingIsCanceledAndLeavesNothing) {
  const auto before = StateListing();
  grpc::ClientContext call;
  const auto stream = v1::DataService::NewStub(operator_)->ImportDataset(&call);
  v1::ImportDatasetRequest request;
  *request.mutable_header() = Header("set");
  ASSERT_TRUE(stream->Write(request));
  request.mutable_file()->set_path("corpus.jsonl");
  ASSERT_TRUE(stream->Write(request));
  std::vector<v1::Operation> running;
  const absl::Duration end = RealClock().Monotonic() + absl::Seconds(30);
  while (running.empty() && RealClock().Monotonic() < end) running = List(/*active=*/true);
  ASSERT_EQ(running.size(), 1u);
  EXPECT_EQ(running[0].phase(), v1::OPERATION_PHASE_RUNNING);
  const auto canceled = Cancel(running[0].id());
  ASSERT_TRUE(canceled.ok()) << canceled.status();
  EXPECT_EQ(canceled->phase(), v1::OPERATION_PHASE_CANCELED) << canceled->reason();
  EXPECT_THAT(canceled->reason(), HasSubstr("canceled by "));
  v1::ImportDatasetResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_EQ(StateListing(), before);
}

TEST_F(ImportOperations, ACanceledImportThatStillSendsLearnsWhoCanceledIt) {
  grpc::ClientContext call;
  const auto stream = v1::DataService::NewStub(operator_)->ImportDataset(&call);
  v1::ImportDatasetRequest request;
  *request.mutable_header() = Header("set");
  ASSERT_TRUE(stream->Write(request));
  request.mutable_file()->set_path("corpus.jsonl");
  ASSERT_TRUE(stream->Write(request));
  std::vector<v1::Operation> running;
  const absl::Duration end = RealClock().Monotonic() + absl::Seconds(30);
  while (running.empty() && RealClock().Monotonic() < end) running = List(/*active=*/true);
  ASSERT_EQ(running.size(), 1u);
  std::thread send([&] {
    request.set_chunk(R"({"_id": "1", "text": "a"})" "\n");
    while (stream->Write(request)) absl::SleepFor(absl::Milliseconds(1));
  });
  std::thread read([&] {  // a client that reads no progress would not see the end of the call either
    v1::ImportDatasetResponse response;
    while (stream->Read(&response)) {
    }
  });
  const auto canceled = Cancel(running[0].id());
  send.join();
  read.join();
  ASSERT_TRUE(canceled.ok()) << canceled.status();
  const absl::Status status = FromGrpc(stream->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_EQ(ReasonOf(status), "OPERATION_CANCELED");
  EXPECT_THAT(std::string(status.message()), HasSubstr("import: canceled by "));
}

}  // namespace
}  // namespace muster
