#include "common/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace muster {
namespace {

using ::testing::ElementsAre;

// Vectors: kat_vectors of Random123 (https://github.com/DEShawResearch/random123), philox4x32 with 10 rounds.
TEST(Philox, AgreesWithPublishedVectors) {
  EXPECT_THAT(Philox({0, 0, 0, 0}, 0), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(Philox({~0u, ~0u, ~0u, ~0u}, ~0ull), ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

// SplitMix64 from seed 0: its first outputs.
TEST(MixKey, AgreesWithSplitMix64) {
  EXPECT_EQ(MixKey(0, 0), 0xe220a8397b1dcdaf);
  EXPECT_EQ(MixKey(0, 1), 0x6e789e6aa1b965f4);
}

TEST(CounterRandom, RepeatsAndStaysInBounds) {
  CounterRandom a(5), b(5), c(6);
  std::vector<int> histogram(7);
  double sum = 0;
  for (int i = 0; i < 7000; ++i) {
    const uint64_t value = a.Below(7);
    ASSERT_LT(value, 7);
    EXPECT_EQ(value, b.Below(7));
    ++histogram[value];
    const double uniform = c.Uniform();
    ASSERT_TRUE(uniform >= 0 && uniform < 1);
    sum += uniform;
  }
  for (const int count : histogram) EXPECT_NEAR(count, 1000, 150);  // 5 standard deviations
  EXPECT_NEAR(sum / 7000, 0.5, 0.02);
}

}  // namespace
}  // namespace muster
