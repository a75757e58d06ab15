// The report of an import, and imports of stored blobs, through the server.
#include <google/protobuf/util/message_differencer.h>

#include <fstream>

#include "common/deterministic_bytes.h"
#include "coordinator/data/service/data_server_test_base.h"
#include "coordinator/data/service/report_tokens.h"
#include "coordinator/data/store/catalogue.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::Contains;
using testing::HasSubstr;

class ServerReport : public DataServerTest {
 protected:
  absl::StatusOr<v1::GetDatasetResponse> Get(const std::string& name) {
    grpc::ClientContext call;
    v1::GetDatasetRequest request;
    request.set_name(name);
    v1::GetDatasetResponse response;
    RETURN_IF_ERROR(FromGrpc(v1::DataService::NewStub(operator_)->GetDataset(&call, request, &response)));
    return response;
  }
};

TEST_F(ServerReport, StaysWithTheDatasetOverARestart) {
  const auto report = Import(Header("set"), BeirFiles(5));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->grades().at("1"), 6u);
  EXPECT_EQ(report->grades().at("0"), 1u);
  EXPECT_EQ(report->sources().at("human"), 7u);
  EXPECT_EQ(report->train_queries_in_test(), 1u);
  StartServer();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(Get("set")->report(), *report));
  ASSERT_TRUE(Import(Replacing("set"), BeirFiles(6)).ok());
  EXPECT_EQ(Get("set")->report().dataset().queries(), 6u);
}

TEST_F(ServerReport, OfManyFilesThatMeanNothingStaysReadable) {
  Files files = BeirFiles(3);
  for (int i = 0; i < 150; ++i) files.emplace_back(absl::StrCat("other/", i, ".txt"), "x");
  const auto report = Import(Header("set"), files);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_LT(report->notes_size(), 110);
  EXPECT_THAT(report->notes(), Contains("… and 50 notes more"));
}

TEST_F(ServerReport, OfAnOlderDatasetIsAbsent) {
  const auto report = Import(Header("set"), BeirFiles(5)).value();
  server_.reset();
  {  // as a version without stored reports leaves it
    auto catalogue = Catalogue::Open(root_ / "state/catalogue.db").value();
    ASSERT_TRUE(catalogue->DeleteDataset("set").ok());
    ASSERT_TRUE(catalogue->PutDataset(report.dataset()).ok());
  }
  StartServer();
  const auto response = Get("set");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->dataset().digest(), report.dataset().digest());
  EXPECT_FALSE(response->has_report());
}

TEST_F(ServerReport, CountsTokensOfTheModel) {
  ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
  v1::ImportHeader header = Header("set");
  header.set_model("vocab");
  header.mutable_max_length()->set_query(5);
  // "asked word12": asked, word, ##1, ##2 and two special tokens.
  const auto report = Import(header, BeirFiles(13));
  ASSERT_TRUE(report.ok()) << report.status();
  const v1::LengthSummary& queries = report->query_tokens();
  EXPECT_EQ(queries.texts(), 13u);
  EXPECT_EQ(queries.all_texts(), 13u);
  EXPECT_EQ(queries.limit(), 5u);
  EXPECT_EQ(queries.longest(), 6u);
  EXPECT_EQ(report->passage_tokens().limit(), 256u) << "a job's default";
  EXPECT_EQ(report->passage_tokens().truncated(), 0u);
  EXPECT_GT(queries.truncated(), 0u);
  EXPECT_THAT(report->notes(), Contains(HasSubstr("the tokenizer of model vocab, without prompts, on all 13 queries")));
}

TEST_F(ServerReport, CountsASampleOfALargeDatasetAndSaysSo) {
  ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
  std::string rows;
  const uint64_t queries = ReportTokens::kMaxTexts + 10;
  for (uint64_t i = 0; i < queries; ++i) absl::StrAppend(&rows, R"({"query": "asked )", i, R"(", "pos": ["told"]})", "\n");
  Files files = {{"rows.jsonl", ""}};
  for (size_t begin = 0; begin < rows.size(); begin += 1 << 20) files.emplace_back("", rows.substr(begin, 1 << 20));
  v1::ImportHeader header = Header("set");
  header.set_model("vocab");
  const auto report = Import(header, files);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->query_tokens().texts(), ReportTokens::kMaxTexts);
  EXPECT_EQ(report->query_tokens().all_texts(), queries);
  EXPECT_THAT(report->notes(), Contains(HasSubstr("a sample of 20000 of 20010 queries and all 1 unique passages")));
  header.set_name("again");
  EXPECT_EQ(DeterministicBytes(Import(header, files)->query_tokens()), DeterministicBytes(report->query_tokens()));
}

TEST_F(ServerReport, RefusesModelAndLengthsBeforeAnythingIsSent) {
  v1::ImportHeader header = Header("set");
  header.set_model("none");
  EXPECT_EQ(ReasonOf(Import(header, {}).status()), "MODEL_NOT_FOUND");
  header.set_model("");
  header.mutable_max_length()->set_query(5);
  EXPECT_THAT(std::string(Import(header, {}).status().message()), HasSubstr("Name the model, too"));
  ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
  header.set_model("vocab");
  header.mutable_max_length()->set_query(2);
  EXPECT_THAT(std::string(Import(header, {}).status().message()), HasSubstr("max_length.query"));
}

class ServerBlobImport : public DataServerTest {
 protected:
  absl::StatusOr<v1::ImportReport> ImportBlobs(const v1::ImportHeader& header,
                                               const std::vector<std::pair<std::string, std::string>>& digests,
                                               const std::string& chunk = "") {
    grpc::ClientContext call;
    const auto stream = v1::DataService::NewStub(operator_)->ImportDataset(&call);
    v1::ImportDatasetRequest request;
    *request.mutable_header() = header;
    bool open = stream->Write(request);
    for (const auto& [path, digest] : digests) {
      request.mutable_file()->set_path(path);
      request.mutable_file()->set_blob(digest);
      open = open && stream->Write(request);
    }
    if (!chunk.empty()) {
      request.set_chunk(chunk);
      stream->Write(request);
    }
    stream->WritesDone();
    v1::ImportDatasetResponse response;
    v1::ImportReport report;
    while (stream->Read(&response)) {
      if (response.has_report()) report = response.report();
    }
    RETURN_IF_ERROR(FromGrpc(stream->Finish()));
    return report;
  }
};

TEST_F(ServerBlobImport, GivesTheDatasetOfTheStreamedFiles) {
  const std::string digest = Import(Header("streamed"), BeirFiles(30))->dataset().digest();
  BlobClient blobs(operator_);
  std::vector<std::pair<std::string, std::string>> digests;
  v1::ImportHeader header = Header("blobs");
  uint64_t total = 0;
  for (const auto& [path, bytes] : BeirFiles(30)) {
    digests.emplace_back(path, blobs.PutBytes(bytes).value());
    total += bytes.size();
  }
  header.set_total_bytes(total);
  const auto report = ImportBlobs(header, digests);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->dataset().digest(), digest);
}

TEST_F(ServerBlobImport, RefusesHostileDigestsAndChunksByName) {
  const auto before = StateListing();
  const absl::Status path = ImportBlobs(Header("set"), {{"corpus.jsonl", "../../catalogue.db"}}).status();
  EXPECT_EQ(path.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(path.message()), HasSubstr("corpus.jsonl: blob: "));
  const absl::Status absent = ImportBlobs(Header("set"), {{"corpus.jsonl", std::string(64, 'a')}}).status();
  EXPECT_EQ(ReasonOf(absent), "BLOB_NOT_FOUND");
  const std::string digest = BlobClient(operator_).PutBytes("{}\n").value();
  EXPECT_THAT(std::string(ImportBlobs(Header("set"), {{"README.md", digest}}, "more").status().message()),
              HasSubstr("a chunk came for a file that is a stored blob"));
  EXPECT_EQ(StateListing(), before);
}

TEST_F(ServerBlobImport, DamagedBytesAreRefusedAndMayBePutAgain) {
  BlobClient blobs(operator_);
  const std::string bytes = R"({"query": "a", "pos": ["b"]})" "\n";
  const std::string digest = blobs.PutBytes(bytes).value();
  const auto stored = root_ / "state/blobs" / digest.substr(0, 2) / digest;
  std::filesystem::permissions(stored, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
  std::string damaged = bytes;
  damaged[11] = 'x';
  std::ofstream(stored) << damaged;
  const absl::Status status = ImportBlobs(Header("set"), {{"rows.jsonl", digest}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("rows.jsonl: blob"));
  EXPECT_EQ(blobs.PutBytes(bytes).value(), digest);
  EXPECT_TRUE(ImportBlobs(Header("set"), {{"rows.jsonl", digest}}).ok());
}

// A network that breaks after some bytes: the server keeps them, and the next try sends only the rest.
TEST_F(ServerBlobImport, AnUploadThatBrokeContinuesWhereItStopped) {
  std::string bytes;
  for (int i = 0; i < 100000; ++i) absl::StrAppend(&bytes, R"({"query": "asked )", i, R"(", "pos": ["told )", i, "\"]}\n");
  const std::string digest = Sha256Hex(bytes);
  constexpr size_t kChunk = 1 << 20;
  const size_t sent = 3 * kChunk;
  ASSERT_GT(bytes.size(), sent + kChunk);
  {
    grpc::ClientContext call;
    v1::PutBlobResponse response;
    const auto writer = v1::BlobService::NewStub(operator_)->PutBlob(&call, &response);
    v1::PutBlobRequest request;
    request.mutable_header()->set_digest(digest);
    request.mutable_header()->set_size(bytes.size());
    ASSERT_TRUE(writer->Write(request));
    for (size_t begin = 0; begin < sent; begin += kChunk) {
      request.set_chunk(bytes.substr(begin, kChunk));
      ASSERT_TRUE(writer->Write(request));
    }
    writer->WritesDone();  // the rest does not arrive
    EXPECT_FALSE(writer->Finish().ok());
  }
  StartServer();  // whether the server kept running does not matter
  const auto file = root_ / "rows.jsonl";
  ASSERT_TRUE(WriteFileAtomically(file, bytes).ok());
  uint64_t first = bytes.size();
  const auto entry = BlobClient(operator_).PutFile(file, "rows.jsonl", [&](uint64_t done, uint64_t) {
    first = std::min(first, done);
  });
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(first, sent + kChunk) << "the first progress covers the first chunk that is sent";
  const auto report = ImportBlobs(Header("set"), {{"rows.jsonl", digest}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->dataset().queries(), 100000u);
}

}  // namespace
}  // namespace muster
