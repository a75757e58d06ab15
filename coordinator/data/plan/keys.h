// Keys of the planner's random choices, one for each purpose, so that none depends on another.
#pragma once

#include <cstdint>

#include "common/random.h"

namespace muster {

// Part of the stored meaning of a seed: never renumber.
enum class Purpose : uint64_t { kOrder = 1, kPositives = 2, kNegatives = 3, kSteps = 4, kExtraQueries = 5 };

constexpr uint64_t EpochKey(uint64_t seed, uint64_t epoch, Purpose purpose) {
  return MixKey(MixKey(MixKey(0x6D75737465720000, seed), epoch), static_cast<uint64_t>(purpose));
}

}  // namespace muster
