#include "common/process/leave.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

namespace muster {
namespace {

TEST(LeaveDeathTest, EndsWithItsCodeAndItsOutputButWithoutExitHandlers) {
  EXPECT_EXIT(
      {
        std::atexit([] { std::_Exit(99); });
        std::setvbuf(stderr, nullptr, _IOFBF, 4096);
        std::fprintf(stderr, "held back by stdio");
        Leave(7);
      },
      testing::ExitedWithCode(7), "held back by stdio");
}

}  // namespace
}  // namespace muster
