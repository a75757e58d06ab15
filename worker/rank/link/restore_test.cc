// Which errors mean damage, and which are temporary.
#include "worker/rank/link/restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "worker/rank/link/testing/fake_cluster.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

using testing::HasSubstr;

class RestoreStoredTest : public testing::Test {
 protected:
  RestoreStoredTest()
      : folder_(*MakeScratchFolder(testing::TempDir(), "restore")),
        blobs_(cluster_.Channel()),
        encoder_(*Encoder::Random(ProblemConfig(), 3)),
        optimizer_(encoder_->parameters(), {}) {
    CheckpointCopy copy;
    copy.Take(*encoder_, optimizer_, {.step = 40, .spec_digest = "d"}, {});
    EXPECT_TRUE(copy.WriteTo(folder_ / "written").ok());
    manifest_ = *blobs_.PutFolder(folder_ / "written");
    checkpoint_.set_step(40);
    checkpoint_.set_manifest(*blobs_.PutManifest(manifest_));
    std::filesystem::create_directories(Scratch());
  }
  ~RestoreStoredTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path Scratch() const { return folder_ / "scratch"; }
  absl::Status Restore(BlobClient& blobs) {
    return RestoreStored(checkpoint_, blobs, Scratch(),
                         {.spec_digest = "d", .encoder = *encoder_, .optimizer = optimizer_}, {})
        .status();
  }
  absl::Status Restore() { return Restore(blobs_); }

  const std::filesystem::path folder_;
  FakeCluster cluster_;
  BlobClient blobs_;
  std::unique_ptr<Encoder> encoder_;
  AdamW optimizer_;
  muster::v1::FileManifest manifest_;
  muster::v1::CheckpointInfo checkpoint_;
};

TEST_F(RestoreStoredTest, AMissingOrChangedBlobIsDamage) {
  EXPECT_TRUE(Restore().ok()) << Restore();
  for (const auto& file : manifest_.files()) {
    cluster_.blobs.Damage(file.digest());
    EXPECT_EQ(Restore().code(), absl::StatusCode::kDataLoss) << file.path() << ": " << Restore();
    EXPECT_THAT(std::string(Restore().message()), HasSubstr(file.path()));
    cluster_.blobs.Damage(file.digest());  // undoes the damage
    EXPECT_TRUE(Restore().ok()) << Restore();
  }
  cluster_.blobs.Forget(manifest_.files(0).digest());
  EXPECT_EQ(Restore().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RestoreStoredTest, AManifestThatNamesNoStateIsDamage) {
  muster::v1::FileManifest other = manifest_;
  other.mutable_files()->RemoveLast();
  checkpoint_.set_manifest(*blobs_.PutManifest(other));
  EXPECT_EQ(Restore().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Restore().message()), HasSubstr("its manifest does not name state.json"));
}

TEST_F(RestoreStoredTest, BytesThatChangedOnTheirWayOnceAreFetchedAgain) {
  int asked = 0;
  cluster_.blobs.before_get = [&](const std::string& digest) {
    return digest == manifest_.files(0).digest() && asked++ == 0 ? absl::DataLossError("changed") : absl::OkStatus();
  };
  EXPECT_TRUE(Restore().ok()) << Restore();
}

TEST_F(RestoreStoredTest, WhatAServerRefusesIsNotDamage) {
  for (const absl::Status& fault :
       {absl::PermissionDeniedError("not yours"), absl::FailedPreconditionError("stale"), absl::InternalError("oops"),
        absl::ResourceExhaustedError("no room"), absl::NotFoundError("no such route"), absl::InvalidArgumentError("?")}) {
    cluster_.blobs.before_get = [&](const std::string&) { return fault; };
    const absl::Status status = Restore();
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.code(), absl::StatusCode::kDataLoss) << fault;
    EXPECT_NE(status.code(), absl::StatusCode::kInvalidArgument) << "it would end the job for good";
    EXPECT_THAT(std::string(status.message()), testing::StartsWith("restoring the checkpoint of step 40: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(fault.message())));
  }
}

TEST_F(RestoreStoredTest, AServerThatCannotBeReachedIsNotDamage) {
  BlobClient impatient(cluster_.Channel(), absl::Milliseconds(50));
  cluster_.server.reset();
  EXPECT_EQ(Restore(impatient).code(), absl::StatusCode::kUnavailable);
}

TEST_F(RestoreStoredTest, AScratchFolderThatTakesNothingIsNotDamage) {
  ASSERT_TRUE(WriteFileAtomically(Scratch() / "restore-40", "in its place").ok());
  EXPECT_EQ(Restore().code(), absl::StatusCode::kFailedPrecondition);
  std::filesystem::remove_all(Scratch());
  ASSERT_TRUE(WriteFileAtomically(Scratch(), "in its place").ok());
  EXPECT_NE(Restore().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(Restore().ok());
}

TEST_F(RestoreStoredTest, ACheckpointOfAnotherSpecificationIsNotDamage) {
  const auto restored = RestoreStored(checkpoint_, blobs_, Scratch(),
                                      {.spec_digest = "e", .encoder = *encoder_, .optimizer = optimizer_}, {});
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(restored.status().message()), HasSubstr("another specification"));
}

}  // namespace
}  // namespace muster
