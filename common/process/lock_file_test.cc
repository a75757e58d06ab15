#include "common/process/lock_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

TEST(LockFile, RefusesASecondHolderAndNamesTheFirst) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / absl::StrCat("lock-", getpid());
  auto first = LockFile(file, "muster local");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = LockFile(file, "muster local");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr(absl::StrCat("(pid ", getpid(), ")")));
  first->Close();
  EXPECT_TRUE(LockFile(file, "muster local").ok());
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace muster
