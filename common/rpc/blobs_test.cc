#include "common/rpc/blobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rpc/security.h"

namespace muster {
namespace {

using muster::v1::FileManifest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Keeps blobs in memory. After `break_after` bytes of a stream it fails once with UNAVAILABLE and keeps what it has.
class MemoryBlobs final : public muster::v1::BlobService::Service {
 public:
  grpc::Status PutBlob(grpc::ServerContext*, grpc::ServerReader<muster::v1::PutBlobRequest>* reader,
                       muster::v1::PutBlobResponse* response) override {
    const std::lock_guard lock(mutex_);
    muster::v1::PutBlobRequest request;
    if (!reader->Read(&request)) return {grpc::StatusCode::INVALID_ARGUMENT, "no header"};
    const muster::v1::PutBlobHeader header = request.header();
    ++puts;
    offsets.push_back(header.offset());
    std::string& partial = partial_[header.digest()];
    if (header.offset() > partial.size()) return {grpc::StatusCode::INVALID_ARGUMENT, "a gap"};
    partial.resize(header.offset());
    while (reader->Read(&request)) {
      partial += request.chunk();
      if (break_after != 0 && partial.size() >= break_after) {
        break_after = 0;
        return {grpc::StatusCode::UNAVAILABLE, "broken"};
      }
    }
    if (Sha256Hex(partial) != header.digest()) return {grpc::StatusCode::DATA_LOSS, "wrong digest"};
    blobs[header.digest()] = partial;
    partial_.erase(header.digest());
    response->set_digest(header.digest());
    return grpc::Status::OK;
  }
  grpc::Status GetBlob(grpc::ServerContext*, const muster::v1::GetBlobRequest* request,
                       grpc::ServerWriter<muster::v1::GetBlobResponse>* writer) override {
    const std::lock_guard lock(mutex_);
    const auto found = blobs.find(request->digest());
    if (found == blobs.end()) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
    for (uint64_t at = request->offset(); at < found->second.size() || at == 0; at += 1000) {
      muster::v1::GetBlobResponse response;
      response.set_size(found->second.size());
      response.set_chunk(found->second.substr(at, 1000));
      writer->Write(response);
      if (break_after != 0 && at + 1000 >= break_after) {
        break_after = 0;
        return {grpc::StatusCode::UNAVAILABLE, "broken"};
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status StatBlobs(grpc::ServerContext*, const muster::v1::StatBlobsRequest* request,
                         muster::v1::StatBlobsResponse* response) override {
    const std::lock_guard lock(mutex_);
    for (const std::string& digest : request->digests()) {
      auto* stat = response->add_blobs();
      stat->set_digest(digest);
      stat->set_present(blobs.count(digest) > 0);
      if (partial_.count(digest) > 0) stat->set_partial_size(partial_[digest].size());
    }
    return grpc::Status::OK;
  }

  std::map<std::string, std::string> blobs;
  std::vector<uint64_t> offsets;
  int puts = 0;
  uint64_t break_after = 0;

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> partial_;
};

class BlobsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-blobs");
    ASSERT_TRUE(folder.ok());
    folder_ = *folder;
    auto server = RpcServer::Start({.address = "127.0.0.1:0", .security = {.insecure = true}, .services = {&service_}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = *MakeChannel(absl::StrCat("127.0.0.1:", server_->port()), {.insecure = true});
    client_ = std::make_unique<BlobClient>(channel_, absl::Seconds(10));
  }
  void TearDown() override {
    client_.reset();
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::filesystem::path Write(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(MakeFolders((folder_ / name).parent_path()).ok());
    EXPECT_TRUE(WriteFileAtomically(folder_ / name, bytes).ok());
    return folder_ / name;
  }
  static std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
    return bytes;
  }

  std::filesystem::path folder_;
  MemoryBlobs service_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<BlobClient> client_;
};

TEST_F(BlobsTest, WhatIsPutCanBeRead) {
  const std::string bytes = Bytes((5 << 20) / 2);
  const auto entry = client_->PutFile(Write("a", bytes), "x/a");
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(entry->path(), "x/a");
  EXPECT_EQ(entry->size(), bytes.size());
  EXPECT_EQ(service_.blobs.at(entry->digest()), bytes);
  EXPECT_EQ(*client_->GetBytes(entry->digest()), bytes);
  ASSERT_TRUE(client_->GetFile(entry->digest(), folder_ / "new/b").ok());
  EXPECT_EQ(*ReadFile(folder_ / "new/b"), bytes);
}

TEST_F(BlobsTest, EmptyBlobsAreBlobs) {
  const auto digest = client_->PutBytes("");
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*client_->GetBytes(*digest), "");
}

TEST_F(BlobsTest, WhatTheServerHasIsNotSentAgain) {
  ASSERT_TRUE(client_->PutBytes("abc").ok());
  ASSERT_TRUE(client_->PutBytes("abc").ok());
  EXPECT_EQ(service_.puts, 1);
}

TEST_F(BlobsTest, AnInterruptedUploadContinuesWhereItStopped) {
  service_.break_after = 2 << 20;
  const std::string bytes = Bytes(4 << 20);
  const auto digest = client_->PutBytes(bytes);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(service_.blobs.at(*digest), bytes);
  EXPECT_THAT(service_.offsets, ElementsAre(0, 2 << 20));
}

TEST_F(BlobsTest, AnInterruptedDownloadContinuesWhereItStopped) {
  const std::string bytes = Bytes(10'500);
  const auto digest = client_->PutBytes(bytes);
  ASSERT_TRUE(digest.ok());
  service_.break_after = 4000;
  EXPECT_EQ(*client_->GetBytes(*digest), bytes);
  service_.break_after = 7000;
  ASSERT_TRUE(client_->GetFile(*digest, folder_ / "b").ok());
  EXPECT_EQ(*ReadFile(folder_ / "b"), bytes);
}

TEST_F(BlobsTest, AWrongBlobIsDataLossAndLeavesNoFile) {
  const auto digest = client_->PutBytes("right");
  service_.blobs[*digest] = "wrong";
  EXPECT_EQ(client_->GetBytes(*digest).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(client_->GetFile(*digest, folder_ / "b").code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(BlobsTest, MissingBlobsAreNotRetried) {
  const auto bytes = client_->GetBytes(Sha256Hex("none"));
  EXPECT_EQ(bytes.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(bytes.status().message()), HasSubstr(Sha256Hex("none").substr(0, 12)));
}

TEST_F(BlobsTest, FoldersTravelAsManifests) {
  Write("m/config.json", "{}");
  Write("m/1_Pooling/config.json", "{\"a\": 1}");
  Write("m/empty", "");
  uint64_t done = 0, total = 0;
  const auto manifest = client_->PutFolder(folder_ / "m", [&](uint64_t d, uint64_t t) { done = d, total = t; });
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->files_size(), 3);
  EXPECT_EQ(manifest->files(0).path(), "1_Pooling/config.json");
  EXPECT_EQ(done, 10);
  EXPECT_EQ(total, 10);
  const auto digest = client_->PutManifest(*manifest);
  ASSERT_TRUE(digest.ok());
  FileManifest reversed;
  for (int i = 2; i >= 0; --i) *reversed.add_files() = manifest->files(i);
  EXPECT_EQ(*client_->PutManifest(reversed), *digest) << "the order of files does not matter";

  const auto got = client_->GetManifest(*digest);
  ASSERT_TRUE(got.ok());
  Write("out/config.json", "{}");  // exists, with the right bytes
  Write("out/1_Pooling/config.json", "");  // exists, with the wrong bytes
  ASSERT_TRUE(client_->GetFolder(*got, folder_ / "out").ok());
  EXPECT_EQ(*ReadFile(folder_ / "out/1_Pooling/config.json"), "{\"a\": 1}");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/empty"));
}

TEST_F(BlobsTest, AManifestCannotWriteOutsideItsFolder) {
  const auto digest = client_->PutBytes("evil");
  FileManifest manifest;
  manifest.add_files()->set_path("../evil");
  manifest.mutable_files(0)->set_digest(*digest);
  EXPECT_EQ(client_->GetFolder(manifest, folder_ / "out").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "evil"));
}

TEST_F(BlobsTest, PatienceEnds) {
  server_->Shutdown(absl::ZeroDuration());
  BlobClient impatient(channel_, absl::Milliseconds(300));
  EXPECT_EQ(impatient.PutBytes("x").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(impatient.GetBytes(Sha256Hex("x")).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace muster
