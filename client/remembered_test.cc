#include "client/remembered.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"

namespace muster {
namespace {

using testing::HasSubstr;

const RememberedCluster kCluster = {"127.0.0.1:7070", "/a folder/certs: user", "/t", "/a folder"};

class RememberedTest : public testing::Test {
 protected:
  void SetUp() override { folder_ = *MakeScratchFolder(testing::TempDir(), "remembered"); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(RememberedTest, IsReadBackUnchangedAndByItsUserAlone) {
  ASSERT_TRUE(Remember(kCluster, folder_ / "new").ok());
  EXPECT_EQ(ReadRemembered(folder_ / "new").value(), kCluster);
  EXPECT_EQ(std::filesystem::status(RememberedFile(folder_ / "new")).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(RememberedTest, NothingIsRememberedAtFirst) {
  EXPECT_EQ(ReadRemembered(folder_).value(), std::nullopt);
  EXPECT_EQ(ReadRemembered("").value(), std::nullopt);
  EXPECT_FALSE(Remember(kCluster, "").ok());
}

TEST_F(RememberedTest, OnlyTheClusterThatEndsIsForgotten) {
  RememberedCluster later = kCluster;
  later.address = "127.0.0.1:4711";
  ASSERT_TRUE(Remember(kCluster, folder_).ok());
  ASSERT_TRUE(Remember(later, folder_).ok());
  Forget(kCluster, folder_);
  EXPECT_EQ(ReadRemembered(folder_).value(), later);
  Forget(later, folder_);
  EXPECT_EQ(ReadRemembered(folder_).value(), std::nullopt);
}

TEST_F(RememberedTest, AFileOfAnotherKindIsNamed) {
  for (const char* text : {"x", "address: [", "address: a:1\n"}) {
    ASSERT_TRUE(WriteFileAtomically(RememberedFile(folder_), text).ok());
    const auto read = ReadRemembered(folder_);
    EXPECT_TRUE(absl::IsInvalidArgument(read.status())) << text;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr("local.yaml: is not a file that muster local wrote. Remove it"));
  }
}

}  // namespace
}  // namespace muster
