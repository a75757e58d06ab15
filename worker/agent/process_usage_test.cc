#include "worker/agent/process_usage.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace muster {
namespace {

TEST(ProcessUsage, ReadsAStatLineWhateverTheProgramIsCalled) {
  const char* stat =
      "42 (a) b) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 100 1000000 256 18446744073709551615 1 1 0 0 0 0\n";
  const auto usage = UsageFromStat(stat, 4096, 100);
  ASSERT_TRUE(usage.has_value());
  EXPECT_EQ(usage->resident_bytes, 256 * 4096);
  EXPECT_EQ(usage->cpu_seconds, 3.0);
}

TEST(ProcessUsage, RefusesWhatIsNotAStatLine) {
  EXPECT_FALSE(UsageFromStat("", 4096, 100).has_value());
  EXPECT_FALSE(UsageFromStat("42 (a) R 1 2 3", 4096, 100).has_value());
}

TEST(ProcessUsage, ThisProcessUsesMemoryAndAnAbsentOneNothing) {
  const auto own = UsageOf(getpid());
  ASSERT_TRUE(own.has_value());
  EXPECT_GT(own->resident_bytes, 1 << 20);
  EXPECT_FALSE(UsageOf(1 << 30).has_value());
}

}  // namespace
}  // namespace muster
