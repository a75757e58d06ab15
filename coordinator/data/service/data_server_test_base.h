// A data server over mTLS on loopback with a client of each role, and small data; for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rpc/access/ticket.h"
#include "common/rpc/blobs.h"
#include "common/rpc/certificate_folder.h"
#include "common/rpc/certificates.h"
#include "common/rpc/errors.h"
#include "common/rpc/security.h"
#include "common/status.h"
#include "coordinator/data/service/data_server.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "muster/v1/data.grpc.pb.h"
#include "muster/v1/model.grpc.pb.h"

namespace muster {

class DataServerTest : public testing::Test {
 protected:
  using Files = std::vector<std::pair<std::string, std::string>>;  // path, content

  void SetUp() override {
    root_ = MakeScratchFolder(testing::TempDir(), "server").value();
    ASSERT_TRUE(MakeAuthority(root_ / "authority").ok());
    for (const Role role : {Role::kData, Role::kOperator, Role::kWorker, Role::kCoordinator}) {
      const std::string name(RoleName(role));
      ASSERT_TRUE(IssueCertificate(root_ / "authority", {.role = role, .name = name}, root_ / name).ok());
    }
    StartServer();
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(root_);
  }

  void StartServer(uint64_t store_budget = 0) {
    DataServer::Options options;
    options.store_budget = store_budget;
    options.listen = "127.0.0.1:0";
    options.metrics = "";  // its web server takes 2 s to stop
    options.state = root_ / "state";
    options.security.certificates = root_ / "data";
    options.tokens = tokens_;
    options.limits.calls_per_second = 0;
    server_.reset();
    server_ = DataServer::Start(options).value();
    operator_ = Channel("operator");
    worker_ = Channel("worker");
    coordinator_ = Channel("coordinator");
  }
  // A worker's channel with a ticket that its coordinator signed.
  std::shared_ptr<grpc::Channel> WorkerWith(const muster::internal::v1::Ticket& ticket) {
    const std::string bytes = SignTicket(ticket, ReadCertificateFolder(root_ / "coordinator").value()).value();
    return Channel("worker", bytes);
  }
  // The ticket that the coordinator makes for worker "worker".
  static muster::internal::v1::Ticket TicketOf(const muster::internal::v1::RankIdentity& identity,
                                               const muster::v1::ResolvedJob& resolved) {
    muster::internal::v1::Assignment assignment;
    assignment.set_job_id(identity.job_id());
    assignment.set_attempt(identity.attempt());
    assignment.set_world_size(identity.world_size());
    assignment.add_ranks()->set_rank(identity.rank());
    *assignment.mutable_resolved() = resolved;
    return TicketFor(assignment, "worker", RealClock().Now());
  }
  std::shared_ptr<grpc::Channel> Channel(const std::string& role, const std::string& ticket = "") {
    SecurityOptions security;
    security.ticket = ticket;
    security.certificates = root_ / role;
    return MakeChannel(absl::StrCat("127.0.0.1:", server_->port()), security).value();
  }

  absl::StatusOr<muster::v1::ImportReport> Import(const muster::v1::ImportHeader& header, const Files& files) {
    return ImportAs(operator_, header, files);
  }
  static absl::StatusOr<muster::v1::ImportReport> ImportAs(const std::shared_ptr<grpc::Channel>& channel,
                                                           const muster::v1::ImportHeader& header, const Files& files) {
    const auto stub = muster::v1::DataService::NewStub(channel);
    grpc::ClientContext call;
    const auto stream = stub->ImportDataset(&call);
    muster::v1::ImportDatasetRequest request;
    *request.mutable_header() = header;
    bool open = stream->Write(request);
    for (const auto& [path, content] : files) {
      if (!path.empty()) {  // otherwise the content continues the previous file
        request.mutable_file()->set_path(path);
        open = open && stream->Write(request);
      }
      request.set_chunk(content);
      open = open && stream->Write(request);
    }
    stream->WritesDone();
    muster::v1::ImportDatasetResponse response;
    muster::v1::ImportReport report;
    while (stream->Read(&response)) {
      if (response.has_report()) report = response.report();
    }
    const absl::Status status = FromGrpc(stream->Finish());
    if (!status.ok()) return status;
    return report;
  }
  // An import in progress.
  struct OpenImport {
    bool Send(const std::string& chunk) {
      muster::v1::ImportDatasetRequest request;
      request.set_chunk(chunk);
      return stream->Write(request);
    }
    void ReadToEnd() {
      muster::v1::ImportDatasetResponse response;
      while (stream->Read(&response)) continue;
    }
    absl::Status Finish() {
      stream->WritesDone();
      ReadToEnd();
      return FromGrpc(stream->Finish());
    }
    grpc::ClientContext call;
    std::unique_ptr<grpc::ClientReaderWriter<muster::v1::ImportDatasetRequest, muster::v1::ImportDatasetResponse>> stream;
  };
  // Sends the header and the beginning of a file, which is still empty.
  std::unique_ptr<OpenImport> BeginImport(const muster::v1::ImportHeader& header, const std::string& path) {
    return BeginImportAs(operator_, header, path);
  }
  static std::unique_ptr<OpenImport> BeginImportAs(const std::shared_ptr<grpc::Channel>& channel,
                                                   const muster::v1::ImportHeader& header, const std::string& path) {
    auto import = std::make_unique<OpenImport>();
    import->stream = muster::v1::DataService::NewStub(channel)->ImportDataset(&import->call);
    muster::v1::ImportDatasetRequest request;
    *request.mutable_header() = header;
    EXPECT_TRUE(import->stream->Write(request));
    request.mutable_file()->set_path(path);
    EXPECT_TRUE(import->stream->Write(request));
    return import;
  }
  static muster::v1::ImportHeader Header(const std::string& name) {
    muster::v1::ImportHeader header;
    header.set_name(name);
    return header;
  }
  static muster::v1::ImportHeader Replacing(const std::string& name) {
    muster::v1::ImportHeader header = Header(name);
    header.set_replace(true);
    return header;
  }
  // Queries q0..q(n-1) with one positive each in train; q0 in dev too; an empty split "none".
  static Files BeirFiles(int queries) {
    std::string corpus, lines, train = "query-id\tcorpus-id\tscore\n";
    for (int i = 0; i < queries; ++i) {
      absl::StrAppend(&corpus, R"({"_id": "d)", i, R"(", "title": "", "text": "told word)", i, "\"}\n");
      absl::StrAppend(&lines, R"({"_id": "q)", i, R"(", "text": "asked word)", i, "\"}\n");
      absl::StrAppend(&train, "q", i, "\td", i, "\t1\n");
    }
    return {{"corpus.jsonl", corpus}, {"queries.jsonl", lines}, {"qrels/train.tsv", train},
            {"qrels/dev.tsv", "q0\td0\t1\n"}, {"qrels/none.tsv", "q0\td0\t0\n"}};
  }

  // Stores the files and pushes them as a model.
  absl::StatusOr<muster::v1::Model> Push(const std::string& name, const Files& files) {
    muster::v1::PushModelRequest request;
    request.set_name(name);
    return PushAs(operator_, request, files);
  }
  // `request`: without files.
  absl::StatusOr<muster::v1::Model> PushAs(const std::shared_ptr<grpc::Channel>& channel,
                                           muster::v1::PushModelRequest request, const Files& files) {
    BlobClient blobs(channel);
    const auto folder = MakeScratchFolder(root_, "push").value();
    for (const auto& [path, content] : files) {
      if (absl::Status status = WriteFileAtomically(folder / path, content); !status.ok()) return status;
    }
    ASSIGN_OR_RETURN(*request.mutable_files(), blobs.PutFolder(folder));
    grpc::ClientContext call;
    muster::v1::PushModelResponse response;
    RETURN_IF_ERROR(FromGrpc(muster::v1::ModelService::NewStub(channel)->PushModel(&call, request, &response)));
    return response.model();
  }
  static Files Vocabulary() {
    return {{"vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nasked\ntold\nword\n##0\n##1\n##2\n##3\n"}};
  }

  std::vector<std::string> StateListing() {
    std::vector<std::string> paths;
    for (const char* part : {"datasets", "scratch", "tokens"}) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(root_ / "state" / part)) {
        paths.push_back(entry.path().string());
      }
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  std::filesystem::path root_, tokens_;
  std::unique_ptr<DataServer> server_;
  std::shared_ptr<grpc::Channel> operator_, worker_, coordinator_;
};

}  // namespace muster
