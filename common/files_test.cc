#include "common/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <utility>

namespace muster {
namespace {

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-files");
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(FilesTest, WritesWholeFilesWithTheirMode) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "a", "old", 0600).ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ / "a", std::string("n\0w", 3), 0600).ok());
  EXPECT_EQ(*ReadFile(folder_ / "a"), std::string("n\0w", 3));
  struct stat info {};
  ASSERT_EQ(stat((folder_ / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "nothing is left aside";
}

TEST_F(FilesTest, ErrorsNameThePath) {
  const auto missing = ReadFile(folder_ / "missing");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(missing.status().message().find("missing"), std::string::npos);
  EXPECT_FALSE(WriteFileAtomically(folder_ / "no" / "folder", "x").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ / "file", "x").ok());
  EXPECT_FALSE(MakeFolders(folder_ / "file").ok());
}

TEST_F(FilesTest, ReadsFilesWithoutASize) {
  const auto status = ReadFile("/proc/self/status");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_NE(status->find("Name:"), std::string::npos);
}

TEST_F(FilesTest, MapsFilesAndMovesMaps) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "a", std::string("\1\0\0\0\2\0\0\0", 8)).ok());
  auto opened = MappedFile::Open(folder_ / "a");
  ASSERT_TRUE(opened.ok());
  MappedFile moved = std::move(*opened);
  ASSERT_EQ(moved.size(), 8);
  EXPECT_EQ(moved.as<int32_t>()[1], 2);
  MappedFile assigned;
  assigned = std::move(moved);
  EXPECT_EQ(assigned.as<int32_t>()[0], 1);
  ASSERT_TRUE(WriteFileAtomically(folder_ / "empty", "").ok());
  EXPECT_EQ(MappedFile::Open(folder_ / "empty")->size(), 0);
  EXPECT_FALSE(MappedFile::Open(folder_).ok());
}

TEST_F(FilesTest, ScratchFoldersAreNew) {
  const auto a = MakeScratchFolder(folder_, "x"), b = MakeScratchFolder(folder_, "x");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(*a, *b);
  EXPECT_GT(*FreeBytes(folder_), 0);
}

TEST(IsSafeRelativePath, StaysInsideItsFolder) {
  for (const char* path : {"a", "a/b", "1_Pooling/config.json", "..a", "a..b"}) EXPECT_TRUE(IsSafeRelativePath(path));
  for (const char* path : {"", "/a", "..", "a/../../b", "./a", "a/", "a/.."}) {
    EXPECT_FALSE(IsSafeRelativePath(path)) << path;
  }
  EXPECT_FALSE(IsSafeRelativePath(std::string("a\0b", 3)));
}

TEST(IsValidName, AllowsFewCharacters) {
  EXPECT_TRUE(IsValidName("scifact-v1.0_x"));
  EXPECT_TRUE(IsValidName(std::string(63, 'a')));
  for (const char* name : {"", "-a", ".a", "A", "a b", "a/b", "ä"}) EXPECT_FALSE(IsValidName(name)) << name;
  EXPECT_FALSE(IsValidName(std::string(64, 'a')));
}

}  // namespace
}  // namespace muster
