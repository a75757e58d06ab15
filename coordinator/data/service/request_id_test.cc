// Request ids of imports and deletions, through the server.
#include "common/deterministic_bytes.h"
#include "coordinator/data/service/data_server_test_base.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::HasSubstr;

class RequestIds : public DataServerTest {
 protected:
  static v1::ImportHeader WithId(const std::string& name, const std::string& id) {
    v1::ImportHeader header = Header(name);
    header.set_request_id(id);
    return header;
  }
  absl::Status DeleteDataset(const std::string& name, const std::string& id) {
    grpc::ClientContext call;
    v1::DeleteDatasetRequest request;
    request.set_name(name);
    request.set_request_id(id);
    v1::DeleteDatasetResponse response;
    return FromGrpc(v1::DataService::NewStub(operator_)->DeleteDataset(&call, request, &response));
  }
  absl::Status DeleteModel(const std::string& name, const std::string& id) {
    grpc::ClientContext call;
    v1::DeleteModelRequest request;
    request.set_name(name);
    request.set_request_id(id);
    v1::DeleteModelResponse response;
    return FromGrpc(v1::ModelService::NewStub(operator_)->DeleteModel(&call, request, &response));
  }
};

TEST_F(RequestIds, AnImportThatIsSentAgainIsAnsweredWithTheFirstReport) {
  const auto first = Import(WithId("set", "r1"), BeirFiles(5));
  ASSERT_TRUE(first.ok()) << first.status();
  const auto before = StateListing();
  StartServer();  // it is remembered across a restart
  const auto again = Import(WithId("set", "r1"), BeirFiles(5));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(DeterministicBytes(*again), DeterministicBytes(*first));
  EXPECT_EQ(StateListing(), before);
  EXPECT_EQ(ReasonOf(Import(WithId("set", "r2"), BeirFiles(5)).status()), "DATASET_EXISTS") << "another request";
}

TEST_F(RequestIds, AnImportOfOtherFilesOrOptionsUnderAUsedIdIsRefused) {
  ASSERT_TRUE(Import(WithId("set", "r1"), BeirFiles(5)).ok());
  const auto refused = [&](const v1::ImportHeader& header, const Files& files) {
    const absl::Status status = Import(header, files).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
    return ReasonOf(status) == "REQUEST_ID_REUSED";
  };
  EXPECT_TRUE(refused(WithId("set", "r1"), BeirFiles(6)));
  Files renamed = BeirFiles(5);
  renamed[0].first = "other/corpus.jsonl";
  EXPECT_TRUE(refused(WithId("set", "r1"), renamed));
  EXPECT_TRUE(refused(WithId("other", "r1"), BeirFiles(5)));
  v1::ImportHeader options = WithId("set", "r1");
  options.set_skip_bad(3);
  EXPECT_TRUE(refused(options, BeirFiles(5)));
  EXPECT_EQ(ReasonOf(DeleteDataset("set", "r1")), "REQUEST_ID_REUSED") << "the id is that of an import";
  EXPECT_EQ(Import(WithId("new", std::string(129, 'x')), BeirFiles(5)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RequestIds, AnImportThatFailedIsTriedAgain) {
  Files broken = BeirFiles(5);
  broken[2].second += "q1\td1\n";
  EXPECT_EQ(ReasonOf(Import(WithId("set", "r1"), broken).status()), "BAD_RECORD");
  EXPECT_TRUE(Import(WithId("set", "r1"), BeirFiles(5)).ok()) << "nothing took effect under this id";
}

TEST_F(RequestIds, ADeletionThatIsSentAgainTakesNoNewContent) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(5)).ok());
  ASSERT_TRUE(DeleteDataset("set", "d1").ok());
  EXPECT_TRUE(DeleteDataset("set", "d1").ok());
  EXPECT_EQ(DeleteDataset("set", "d2").code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Import(Header("set"), BeirFiles(6)).ok());
  StartServer();
  EXPECT_TRUE(DeleteDataset("set", "d1").ok());
  EXPECT_EQ(ReasonOf(Import(Header("set"), BeirFiles(7)).status()), "DATASET_EXISTS") << "the new one is still there";
  EXPECT_EQ(ReasonOf(DeleteDataset("other", "d1")), "REQUEST_ID_REUSED");

  ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
  ASSERT_TRUE(DeleteModel("vocab", "m1").ok());
  ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
  EXPECT_TRUE(DeleteModel("vocab", "m1").ok());
  EXPECT_FALSE(Push("vocab", {{"vocab.txt", Vocabulary()[0].second + "more\n"}}).ok()) << "the new one is still there";
  EXPECT_THAT(std::string(DeleteModel("vocab", "d1").message()), HasSubstr("was used to delete dataset set"));
}

}  // namespace
}  // namespace muster
