#include "common/host/cgroup_limits.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace muster {
namespace {

class CgroupLimitsTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  const std::filesystem::path root_ =
      std::filesystem::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(CgroupLimitsTest, OfVersion2) {
  Write("cpu.max", "350000 100000\n");
  Write("memory.max", "8589934592\n");
  EXPECT_EQ(ReadCgroupLimits(root_).cores, 3u);
  EXPECT_EQ(ReadCgroupLimits(root_).memory_bytes, uint64_t{8} << 30);
}

TEST_F(CgroupLimitsTest, LessThanACoreIsOne) {
  Write("cpu.max", "50000 100000\n");
  EXPECT_EQ(ReadCgroupLimits(root_).cores, 1u);
}

TEST_F(CgroupLimitsTest, WithoutALimitNothingIsNoted) {
  Write("cpu.max", "max 100000\n");
  Write("memory.max", "max\n");
  EXPECT_EQ(ReadCgroupLimits(root_).cores, std::nullopt);
  EXPECT_EQ(ReadCgroupLimits(root_).memory_bytes, std::nullopt);
  EXPECT_EQ(ReadCgroupLimits(root_ / "absent").cores, std::nullopt);
}

TEST_F(CgroupLimitsTest, OfVersion1) {
  Write("cpu/cpu.cfs_quota_us", "400000\n");
  Write("cpu/cpu.cfs_period_us", "100000\n");
  Write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(ReadCgroupLimits(root_).cores, 4u);
  EXPECT_EQ(ReadCgroupLimits(root_).memory_bytes, std::nullopt);
  Write("memory/memory.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(ReadCgroupLimits(root_).memory_bytes, uint64_t{1} << 30);
  Write("cpu/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(ReadCgroupLimits(root_).cores, std::nullopt);
}

}  // namespace
}  // namespace muster
