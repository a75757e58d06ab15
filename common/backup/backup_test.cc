#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/backup/repository.h"
#include "common/backup/restore_mark.h"
#include "common/backup/sqlite_copy.h"
#include "common/digest.h"
#include "common/files.h"

namespace muster {
namespace {

class BackupTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeScratchFolder(std::filesystem::temp_directory_path(), "backup-test");
    ASSERT_TRUE(repository().Prepare().ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  BackupRepository repository() { return BackupRepository(folder_ / "backups"); }
  std::string Put(const std::string& bytes) {
    return repository().Store([&](const BackupRepository::Sink& sink) { return sink(bytes); }, "").value();
  }
  muster::internal::v1::BackupManifest Manifest(const std::string& name, const std::vector<std::string>& contents) {
    muster::internal::v1::BackupManifest manifest;
    manifest.set_name(name);
    auto* part = manifest.add_parts();
    part->set_server("data");
    for (size_t i = 0; i < contents.size(); ++i) {
      auto* file = part->add_files();
      file->set_path(absl::StrCat("folder/", i));
      file->set_size(contents[i].size());
      file->set_digest(Put(contents[i]));
    }
    return manifest;
  }

  std::filesystem::path folder_;
};

TEST_F(BackupTest, ABackupWithoutManifestIsNotABackup) {
  Put("content");
  EXPECT_TRUE(absl::IsNotFound(repository().Read("latest").status()));
  ASSERT_TRUE(repository().Write(Manifest("2026-01-01", {"content"})).ok());
  EXPECT_EQ(repository().Read("latest")->name(), "2026-01-01");
}

TEST_F(BackupTest, VerifyNamesAFileThatIsDamagedOrMissing) {
  const auto manifest = Manifest("a", {"first", "second"});
  ASSERT_TRUE(VerifyBackup(repository(), manifest).ok());
  const std::filesystem::path second = repository().PathOf(Sha256Hex("second"));
  std::ofstream(second) << "sEcond";
  EXPECT_NE(VerifyBackup(repository(), manifest).message().find("folder/1 is damaged"), std::string::npos);
  std::filesystem::remove(second);
  EXPECT_NE(VerifyBackup(repository(), manifest).message().find("folder/1 is missing"), std::string::npos);
}

TEST_F(BackupTest, PruneKeepsWhatTheNewestNeed) {
  ASSERT_TRUE(repository().Write(Manifest("1", {"old", "both"})).ok());
  ASSERT_TRUE(repository().Write(Manifest("2", {"both", "new"})).ok());
  Put("of an interrupted backup");
  ASSERT_TRUE(repository().Prune(1).ok());
  EXPECT_EQ(*repository().List(), std::vector<std::string>{"2"});
  EXPECT_TRUE(VerifyBackup(repository(), *repository().Read("2")).ok());
  EXPECT_FALSE(repository().Has(Sha256Hex("old"), 3));
  EXPECT_FALSE(repository().Has(Sha256Hex("of an interrupted backup"), 26));
}

TEST_F(BackupTest, AManifestThatPointsOutOfItsFolderIsRefused) {
  auto manifest = Manifest("a", {"content"});
  manifest.mutable_parts(0)->mutable_files(0)->set_path("../outside");
  ASSERT_TRUE(repository().Write(manifest).ok());
  EXPECT_TRUE(absl::IsDataLoss(repository().Read("a").status()));
}

TEST_F(BackupTest, ContentOtherThanItsDigestIsNotStored) {
  const auto stored =
      repository().Store([](const BackupRepository::Sink& sink) { return sink("other"); }, Sha256Hex("content"));
  EXPECT_TRUE(absl::IsDataLoss(stored.status()));
  EXPECT_FALSE(repository().Has(Sha256Hex("content"), 5));
}

TEST_F(BackupTest, AnUnfinishedRestoreIsNotOpened) {
  EXPECT_EQ(*ReadRestoreMark(folder_), std::nullopt);
  ASSERT_TRUE(WriteRestoreMark(folder_, {"monday", false, 0}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadRestoreMark(folder_).status()));
  ASSERT_TRUE(WriteRestoreMark(folder_, {"monday", true, 9}).ok());
  EXPECT_EQ((*ReadRestoreMark(folder_))->epoch, 9);
}

TEST_F(BackupTest, TheEpochAfterARestoreIsAboveAllBefore) {
  const absl::Time first = absl::FromUnixSeconds(1800000000);
  const uint64_t reached = EpochAfterRestore(first) + 3000;  // starts within the hour after it
  EXPECT_GT(EpochAfterRestore(first + absl::Hours(1)), reached);
}

// While a writer adds pairs of rows, each in a transaction, every copy has whole pairs.
TEST_F(BackupTest, ASqliteCopyIsOneMoment) {
  sqlite3* writer = nullptr;
  const std::filesystem::path source = folder_ / "source.db";
  ASSERT_EQ(sqlite3_open(source.c_str(), &writer), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(writer, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)", nullptr, nullptr, nullptr), SQLITE_OK);
  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread adding([&] {
    while (!stop) {
      sqlite3_exec(writer, "BEGIN; INSERT INTO t VALUES(1); INSERT INTO t VALUES(2); COMMIT", nullptr, nullptr, nullptr);
      ++written;
    }
  });
  int last = 0;
  for (int i = 0; i < 5; ++i) {
    const int before = written;
    while (written < before + 3) std::this_thread::yield();
    const std::filesystem::path target = folder_ / absl::StrCat("copy-", i);
    ASSERT_TRUE(CopySqlite(source, target).ok());
    sqlite3* copy = nullptr;
    ASSERT_EQ(sqlite3_open(target.c_str(), &copy), SQLITE_OK);
    sqlite3_stmt* count = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(copy, "SELECT count(*) FROM t", -1, &count, nullptr), SQLITE_OK);
    ASSERT_EQ(sqlite3_step(count), SQLITE_ROW);
    EXPECT_EQ(sqlite3_column_int(count, 0) % 2, 0);
    EXPECT_GT(sqlite3_column_int(count, 0), last);
    last = sqlite3_column_int(count, 0);
    sqlite3_finalize(count);
    sqlite3_close(copy);
    EXPECT_FALSE(std::filesystem::exists(target.string() + "-wal"));
  }
  stop = true;
  adding.join();
  sqlite3_close(writer);
}

}  // namespace
}  // namespace muster
