#include "worker/rank/link/audit_log.h"

#include <gtest/gtest.h>

#include "common/files.h"

namespace muster {
namespace {

muster::rank::v1::RankConfig Config(const std::filesystem::path& folder) {
  muster::rank::v1::RankConfig config;
  config.set_job_id("j1");
  config.set_attempt(2);
  config.set_rank(1);
  config.set_world_size(4);
  config.set_audit(folder.string());
  return config;
}

TEST(AuditLog, HasALineForEachStepWithTheRanksQueries) {
  const auto folder = *MakeScratchFolder(testing::TempDir(), "audit");
  AuditLog log(Config(folder / "new"));
  ASSERT_TRUE(log.Append({.step = 4, .epoch = 1, .query_digests = {0xabc, ~uint64_t{0}}}).ok());
  ASSERT_TRUE(log.Append({.step = 5, .epoch = 2}).ok());
  EXPECT_EQ(*ReadFile(folder / "new" / "j1-a2-r1.audit"),
            "muster-audit 1 j1 2 1 4\n5 1 0000000000000abc ffffffffffffffff\n6 2\n");
  std::filesystem::remove_all(folder);
}

TEST(AuditLog, IsOffWithoutAFolderAndSaysWhereItCannotWrite) {
  AuditLog off(Config(""));
  EXPECT_TRUE(off.Append({.step = 1}).ok());
  const auto folder = *MakeScratchFolder(testing::TempDir(), "audit");
  ASSERT_TRUE(WriteFileAtomically(folder / "file", "").ok());
  AuditLog broken(Config(folder / "file"));
  const absl::Status status = broken.Append({.step = 1});
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find((folder / "file").string()), std::string::npos) << status;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace muster
