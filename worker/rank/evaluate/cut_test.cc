#include "worker/rank/evaluate/cut.h"

#include <gtest/gtest.h>

#include <utility>

#include "common/deterministic_bytes.h"
#include "common/random.h"

namespace muster {
namespace {

muster::internal::v1::MicroBatch RandomMicroBatch(uint64_t seed, bool unpooled, bool narrow = false) {
  CounterRandom random(seed);
  muster::internal::v1::MicroBatch micro;
  for (uint32_t slot = 0; slot < 20; ++slot) {
    const auto length = static_cast<uint32_t>(1 + random.Below(30));
    micro.add_lengths(length);
    micro.add_slots(100 - slot);
    if (unpooled) micro.add_unpooled(static_cast<uint32_t>(random.Below(length)));
    for (uint32_t i = 0; i < length; ++i) {
      const auto id = static_cast<uint32_t>(random.Below(1000));
      (narrow ? micro.mutable_narrow_tokens() : micro.mutable_tokens())
          ->append(reinterpret_cast<const char*>(&id), narrow ? 2 : 4);
    }
  }
  return micro;
}

TEST(CutMicroBatch, PartsTogetherAreTheWholeAndKeepTheBound) {
  for (const auto& [unpooled, narrow] : {std::pair(false, false), {true, false}, {false, true}}) {
    const muster::internal::v1::MicroBatch whole = RandomMicroBatch(17, unpooled, narrow);
    for (const uint64_t tokens : {1, 29, 64, 100'000}) {
      muster::internal::v1::MicroBatch together;
      for (const muster::internal::v1::MicroBatch& part : CutMicroBatch(whole, tokens)) {
        EXPECT_TRUE(part.lengths_size() == 1 || (part.tokens().size() / 4 <= tokens && part.narrow_tokens().size() / 2 <= tokens));
        together.mutable_lengths()->MergeFrom(part.lengths());
        together.mutable_slots()->MergeFrom(part.slots());
        together.mutable_unpooled()->MergeFrom(part.unpooled());
        together.mutable_tokens()->append(part.tokens());
        together.mutable_narrow_tokens()->append(part.narrow_tokens());
      }
      EXPECT_EQ(DeterministicBytes(together), DeterministicBytes(whole)) << tokens << " tokens";
    }
  }
}

TEST(CutMicroBatch, LeavesABrokenMessageToItsReader) {
  muster::internal::v1::MicroBatch broken = RandomMicroBatch(18, false);
  broken.mutable_tokens()->pop_back();
  const auto parts = CutMicroBatch(broken, 8);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(DeterministicBytes(parts[0]), DeterministicBytes(broken));
}

TEST(CutMicroBatch, GivesNothingForNothing) { EXPECT_TRUE(CutMicroBatch({}, 8).empty()); }

}  // namespace
}  // namespace muster
