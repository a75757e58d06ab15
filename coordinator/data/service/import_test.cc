// Imports, models and blobs through the server.
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/rpc/access/testing.h"
#include "coordinator/data/service/data_server_test_base.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::ElementsAre;
using testing::HasSubstr;

class ServerImport : public DataServerTest {};

TEST_F(ServerImport, StoresADatasetUnderItsName) {
  const auto report = Import(Header("set"), BeirFiles(5));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->dataset().queries(), 5u);
  EXPECT_GT(report->dataset().imported().seconds(), 0);
  StartServer();  // names and contents survive a restart
  grpc::ClientContext call;
  v1::GetDatasetRequest request;
  request.set_name("set");
  v1::GetDatasetResponse response;
  ASSERT_TRUE(v1::DataService::NewStub(operator_)->GetDataset(&call, request, &response).ok());
  EXPECT_EQ(response.dataset().digest(), report->dataset().digest());
}

TEST_F(ServerImport, ThatFailsLeavesNothing) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(5)).ok());
  const auto before = StateListing();
  Files files = BeirFiles(6);
  files[2].second += "q1\td1\n";
  const absl::Status status = Import(Replacing("set"), files).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "qrels/train.tsv:8: expected 3 tab-separated fields (query-id, corpus-id, score), or TREC's 4 (query 0 document "
            "grade), found 2. Fix the line, or import with --skip-bad 10.");
  EXPECT_EQ(ReasonOf(status), "BAD_RECORD");
  EXPECT_EQ(StateListing(), before);
}

TEST_F(ServerImport, ThatBreaksLeavesNothing) {
  const auto before = StateListing();
  v1::ImportHeader header = Header("set");
  header.set_total_bytes(1 << 20);
  EXPECT_THAT(std::string(Import(header, BeirFiles(5)).status().message()), HasSubstr("bytes came"));
  const auto import = BeginImport(Header("set"), "corpus.jsonl");
  import->call.TryCancel();
  EXPECT_EQ(import->stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server_->Shutdown(absl::Seconds(10));  // waits for the handler
  EXPECT_EQ(StateListing(), before);
}

TEST_F(ServerImport, OnAServerThatShutsDownLeavesNothingAndSaysSo) {
  const auto before = StateListing();
  const auto import = BeginImport(Header("set"), "corpus.jsonl");
  const std::string line = R"({"_id": "1", "text": "a"})" "\n";
  ASSERT_TRUE(import->Send(line));
  v1::ImportDatasetResponse response;
  ASSERT_TRUE(import->stream->Read(&response)) << "it reads";
  std::thread stop([&] { server_->Shutdown(absl::Seconds(30)); });
  const absl::Duration end = RealClock().Monotonic() + absl::Seconds(30);
  while (CheckHealth(operator_).ok() && RealClock().Monotonic() < end) absl::SleepFor(absl::Milliseconds(10));
  // One message only: data still in flight when the server closes the connection may lose its answer.
  import->Send(line);
  const absl::Status status = FromGrpc(import->stream->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(ReasonOf(status), "SHUTTING_DOWN");
  EXPECT_THAT(std::string(status.message()), HasSubstr("Import again"));
  stop.join();
  EXPECT_EQ(StateListing(), before);
}

TEST_F(ServerImport, DeletesTheNameAndLeavesTheContentToASweep) {
  ASSERT_TRUE(Import(Header("a"), BeirFiles(5)).ok());
  const auto after_first = StateListing();
  ASSERT_TRUE(Import(Header("b"), BeirFiles(5)).ok());
  EXPECT_EQ(StateListing(), after_first);  // the same content
  const auto remove = [&](const std::string& name) {
    grpc::ClientContext call;
    v1::DeleteDatasetRequest request;
    request.set_name(name);
    v1::DeleteDatasetResponse response;
    return FromGrpc(v1::DataService::NewStub(operator_)->DeleteDataset(&call, request, &response));
  };
  ASSERT_TRUE(remove("a").ok());
  EXPECT_EQ(StateListing(), after_first);
  ASSERT_TRUE(remove("b").ok());
  EXPECT_EQ(StateListing(), after_first) << "a job may need it";
  EXPECT_EQ(remove("b").message(), "dataset \"b\" does not exist. There are none.");
}

TEST_F(ServerImport, IsNotForWorkers) {
  grpc::ClientContext call;
  v1::ListDatasetsResponse response;
  const grpc::Status status = v1::DataService::NewStub(worker_)->ListDatasets(&call, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(ServerImport, ModelsArePushedPulledAndKept) {
  const auto model = Push("vocab", Vocabulary());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->vocabulary_size(), 12u);
  const auto stub = v1::ModelService::NewStub(operator_);
  grpc::ClientContext pull, list, remove;
  v1::PullModelRequest request;
  request.set_name("vocab");
  v1::PullModelResponse pulled;
  ASSERT_TRUE(stub->PullModel(&pull, request, &pulled).ok());
  EXPECT_EQ(pulled.files().files(0).path(), "vocab.txt");
  // DeleteBlobs does not delete blobs of a stored model.
  internal::v1::DeleteBlobsRequest blobs;
  blobs.add_digests(pulled.files().files(0).digest());
  internal::v1::DeleteBlobsResponse deleted;
  ASSERT_TRUE(internal::v1::DataPlaneService::NewStub(coordinator_)->DeleteBlobs(&remove, blobs, &deleted).ok());
  EXPECT_EQ(deleted.deleted(), 0u);
  v1::ListModelsResponse models;
  ASSERT_TRUE(stub->ListModels(&list, {}, &models).ok());
  EXPECT_EQ(models.models_size(), 1);
}

TEST_F(ServerImport, RefusesAFolderThatIsNotAModel) {
  EXPECT_EQ(Push("x", {{"README.md", "text"}}).status().message(),
            "models push: config.json is missing, the folder has README.md. Push a Hugging Face folder, or only a tokenizer "
            "(tokenizer.json or vocab.txt).");
  EXPECT_THAT(std::string(Push("No Name", Vocabulary()).status().message()), HasSubstr("is not a valid model name"));
}

TEST_F(ServerImport, BlobsGoBothWays) {
  BlobClient blobs(operator_);
  std::string bytes(3 << 20, 'a');
  bytes += "end";
  const std::string digest = blobs.PutBytes(bytes).value();
  EXPECT_TRUE(blobs.GetBytes(digest).value() == bytes);
  EXPECT_EQ(blobs.PutBytes(bytes).value(), digest);
  EXPECT_EQ(blobs.GetBytes(blobs.PutBytes("").value()).value(), "");
  EXPECT_EQ(ReasonOf(blobs.GetBytes(std::string(64, '0')).status()), "BLOB_NOT_FOUND");
}

TEST_F(ServerImport, AnInterruptedPutContinuesWhereItStopped) {
  const std::string text = "hello world", digest = Sha256Hex(text);
  const auto stub = v1::BlobService::NewStub(operator_);
  const auto put = [&](uint64_t offset, std::string_view part) {
    grpc::ClientContext call;
    v1::PutBlobResponse response;
    const auto writer = stub->PutBlob(&call, &response);
    v1::PutBlobRequest request;
    request.mutable_header()->set_digest(digest);
    request.mutable_header()->set_size(text.size());
    request.mutable_header()->set_offset(offset);
    writer->Write(request);
    request.set_chunk(part.data(), part.size());
    writer->Write(request);
    writer->WritesDone();
    return FromGrpc(writer->Finish());
  };
  EXPECT_EQ(put(0, "hello w").code(), absl::StatusCode::kAborted);
  grpc::ClientContext call;
  v1::StatBlobsRequest request;
  request.add_digests(digest);
  v1::StatBlobsResponse response;
  ASSERT_TRUE(stub->StatBlobs(&call, request, &response).ok());
  EXPECT_EQ(response.blobs(0).partial_size(), 7u);
  EXPECT_TRUE(put(7, "orld").ok());
  EXPECT_EQ(BlobClient(operator_).GetBytes(digest).value(), text);
}

}  // namespace
}  // namespace muster
