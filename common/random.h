// Counter-based random numbers: a pure function of a key and a position, so that any element can be drawn by itself,
// on any rank, in any order.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox4x32-10).
#pragma once

#include <array>
#include <cstdint>

namespace muster {

// Philox4x32 with ten rounds: 128 bits for a 128-bit counter and a 64-bit key.
constexpr std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return counter;
}

// Mixes a value into a key. Chain it to key a generator by several values: MixKey(MixKey(seed, epoch), query).
// Source: the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
constexpr uint64_t MixKey(uint64_t key, uint64_t value) {
  uint64_t z = key + 0x9E3779B97F4A7C15 * (value + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// A stream of numbers from a key: element i is Philox(i, key). Copyable; not thread-safe.
class CounterRandom {
 public:
  explicit CounterRandom(uint64_t key) : key_(key) {}
  uint64_t Next() {
    const auto block = Philox({static_cast<uint32_t>(position_), static_cast<uint32_t>(position_ >> 32), 0, 0}, key_);
    ++position_;
    return uint64_t{block[0]} | uint64_t{block[1]} << 32;
  }
  // Uniform in [0, bound), bound > 0, without modulo bias.
  uint64_t Below(uint64_t bound) {
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value = Next();
    while (value >= limit) value = Next();
    return value % bound;
  }
  // Uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

 private:
  uint64_t key_;
  uint64_t position_ = 0;
};

}  // namespace muster
