#include "coordinator/data/blob/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using testing::HasSubstr;

class BlobStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeScratchFolder(testing::TempDir(), "blobs").value();
    store_ = BlobStore::Open(folder_).value();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<std::unique_ptr<BlobUpload>> Upload(uint64_t offset = 0, const std::string& text = "hello world") {
    muster::v1::PutBlobHeader header;
    header.set_digest(Sha256Hex(text));
    header.set_size(text.size());
    header.set_offset(offset);
    return store_->Upload(header);
  }

  std::filesystem::path folder_;
  std::unique_ptr<BlobStore> store_;
  const std::string digest_ = Sha256Hex("hello world");
};

TEST_F(BlobStoreTest, KeepsWhatWasPut) {
  {
    const auto upload = Upload().value();
    ASSERT_TRUE(upload->Append("hello ").ok());
    ASSERT_TRUE(upload->Append("world").ok());
    ASSERT_TRUE(upload->Commit().ok());
  }
  EXPECT_EQ(ReadFile(store_->PathOf(digest_).value()).value(), "hello world");
  EXPECT_TRUE(store_->Stat(digest_)->present());
  EXPECT_EQ(store_->Stat(digest_)->size(), 11u);
  EXPECT_EQ(Upload().status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(store_->DeleteUnlessUsedSince(digest_, absl::InfiniteFuture()).value());
  EXPECT_FALSE(store_->DeleteUnlessUsedSince(digest_, absl::InfiniteFuture()).value());
  EXPECT_EQ(ReasonOf(store_->PathOf(digest_).status()), "BLOB_NOT_FOUND");
}

// Several jobs that use the same new tokenizer may be submitted at the same time.
TEST_F(BlobStoreTest, BytesThatManyPutAtOnceAreStoredForAll) {
  auto running = Upload().value();
  std::vector<absl::Status> statuses(16);
  std::vector<std::thread> threads;
  for (absl::Status& status : statuses) {
    threads.emplace_back([&] { status = store_->PutBytes(digest_, "hello world"); });
  }
  ASSERT_TRUE(running->Append("hello world").ok());
  ASSERT_TRUE(running->Commit().ok());
  running.reset();
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST_F(BlobStoreTest, ResumesABrokenUpload) {
  ASSERT_TRUE(Upload().value()->Append("hello w").ok());
  EXPECT_FALSE(store_->Stat(digest_)->present());
  EXPECT_EQ(store_->Stat(digest_)->partial_size(), 7u);
  EXPECT_EQ(Upload(8).status().code(), absl::StatusCode::kOutOfRange);
  {
    const auto upload = Upload(6).value();  // one byte is sent again
    ASSERT_TRUE(upload->Append("world").ok());
    ASSERT_TRUE(upload->Commit().ok());
  }
  EXPECT_EQ(ReadFile(store_->PathOf(digest_).value()).value(), "hello world");
}

TEST_F(BlobStoreTest, RefusesOtherBytesAndForgetsThem) {
  {
    const auto upload = Upload().value();
    ASSERT_TRUE(upload->Append("hello earth").ok());
    EXPECT_EQ(upload->Commit().code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(store_->Stat(digest_)->partial_size(), 0u);
  EXPECT_FALSE(store_->Stat(digest_)->present());
}

TEST_F(BlobStoreTest, RefusesWrongSizes) {
  const auto upload = Upload().value();
  EXPECT_THAT(std::string(upload->Append("hello world!").message()), HasSubstr("more than the 11 bytes"));
  ASSERT_TRUE(upload->Append("hello").ok());
  EXPECT_THAT(std::string(upload->Commit().message()), HasSubstr("5 of 11 bytes arrived"));
  muster::v1::PutBlobHeader header;
  header.set_digest(Sha256Hex("x"));
  header.set_size(BlobStore::kMaxBlobBytes + 1);
  EXPECT_THAT(std::string(store_->Upload(header).status().message()), HasSubstr("at most 64 GiB"));
}

TEST_F(BlobStoreTest, OneUploadOfABlobAtATime) {
  const auto upload = Upload().value();
  EXPECT_EQ(Upload().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Upload(0, "other").ok());
}

TEST_F(BlobStoreTest, RefusesNamesThatAreNotDigests) {
  EXPECT_FALSE(store_->Stat("../../etc/passwd").ok());
  EXPECT_FALSE(store_->PathOf("").ok());
  EXPECT_FALSE(store_->DeleteUnlessUsedSince(std::string(64, 'G'), absl::InfiniteFuture()).ok());
}

// A symbolic link to itself cannot be looked up, whoever asks: like an error of the disk.
TEST_F(BlobStoreTest, AnErrorOfTheDiskIsNotAMissingBlob) {
  const std::filesystem::path path = folder_ / digest_.substr(0, 2) / digest_;
  ASSERT_TRUE(MakeFolders(path.parent_path()).ok());
  std::filesystem::create_symlink(path.filename(), path);
  const absl::Status status = store_->PathOf(digest_).status();
  EXPECT_EQ(ReasonOf(status), "");
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot be looked up"));
  EXPECT_FALSE(absl::IsNotFound(status) || absl::IsDataLoss(status) || absl::IsInvalidArgument(status)) << status;
}

TEST_F(BlobStoreTest, DropsOldPartials) {
  ASSERT_TRUE(Upload().value()->Append("hello").ok());
  ASSERT_TRUE(store_->DropPartialsBefore(absl::UnixEpoch()).ok());
  EXPECT_EQ(store_->Stat(digest_)->partial_size(), 5u);
  ASSERT_TRUE(store_->DropPartialsBefore(absl::InfiniteFuture()).ok());
  EXPECT_EQ(store_->Stat(digest_)->partial_size(), 0u);
}

TEST_F(BlobStoreTest, ADamagedBlobIsSetAsideAndCanBePutAgain) {
  ASSERT_TRUE(store_->PutBytes(digest_, "hello world").ok());
  const std::filesystem::path path = store_->PathOf(digest_).value();
  EXPECT_FALSE(store_->SetAsideIfDamaged(digest_).value()) << "it is undamaged";
  std::filesystem::permissions(path, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
  ASSERT_TRUE(WriteFileAtomically(path, "hello wOrld").ok());
  EXPECT_TRUE(store_->SetAsideIfDamaged(digest_).value());
  EXPECT_FALSE(store_->Stat(digest_)->present());
  EXPECT_EQ(store_->Stat(digest_)->partial_size(), 0u);
  EXPECT_EQ(ReasonOf(store_->PathOf(digest_).status()), "BLOB_NOT_FOUND");
  EXPECT_EQ(store_->List()->size(), 0);
  ASSERT_TRUE(store_->PutBytes(digest_, "hello world").ok());
  EXPECT_EQ(ReadFile(store_->PathOf(digest_).value()).value(), "hello world");
  ASSERT_EQ(store_->PartialsBefore(absl::InfiniteFuture())->size(), 1) << "the damaged bytes are kept";
  ASSERT_TRUE(store_->DropPartialsBefore(absl::InfiniteFuture()).ok());
  EXPECT_EQ(store_->PartialsBefore(absl::InfiniteFuture())->size(), 0);
}

TEST_F(BlobStoreTest, KeepsAnEmptyBlob) {
  const auto upload = Upload(0, "").value();
  ASSERT_TRUE(upload->Commit().ok());
  EXPECT_EQ(ReadFile(store_->PathOf(Sha256Hex("")).value()).value(), "");
}

// A blob may be deleted depending on when it was last stored or requested.
class BlobAgeTest : public BlobStoreTest {
 protected:
  void SetUp() override {
    BlobStoreTest::SetUp();
    store_ = BlobStore::Open(folder_, clock_).value();
    ASSERT_TRUE(store_->PutBytes(digest_, "hello world").ok());
  }
  FakeClock clock_{absl::FromUnixSeconds(1800000000)};
};

TEST_F(BlobAgeTest, ReleasedContentIsRemoved) {
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(store_->DeleteUnlessClaimed(digest_, clock_.Now()).value());
}

TEST_F(BlobAgeTest, ContentThatWasPutAgainAfterItsReleaseStays) {
  const absl::Time let_go = clock_.Now() - absl::Seconds(1);
  EXPECT_FALSE(store_->DeleteUnlessClaimed(digest_, let_go).value());
}

TEST_F(BlobAgeTest, ABlobThatSomebodyAskedForStaysForAWhile) {
  ASSERT_TRUE(store_->Stat(digest_)->present());
  clock_.Advance(absl::Minutes(9));
  EXPECT_FALSE(store_->DeleteUnlessClaimed(digest_, clock_.Now()).value());
  clock_.Advance(absl::Minutes(2));
  EXPECT_TRUE(store_->DeleteUnlessClaimed(digest_, clock_.Now()).value());
}

TEST_F(BlobAgeTest, AskingForItRenewsItsAge) {
  clock_.Advance(absl::Hours(30));
  const absl::Time before = clock_.Now() - absl::Hours(24);
  ASSERT_TRUE(store_->Touch(digest_).ok());
  EXPECT_FALSE(store_->DeleteUnlessUsedSince(digest_, before).value());
  clock_.Advance(absl::Hours(25));
  EXPECT_TRUE(store_->DeleteUnlessUsedSince(digest_, clock_.Now() - absl::Hours(24)).value());
  EXPECT_EQ(ReasonOf(store_->Touch(digest_)), "BLOB_NOT_FOUND");
}

}  // namespace
}  // namespace muster
