// A keyed permutation of [0, n), computed element by element: an epoch's order of queries without a shuffled array.
#pragma once

#include <bit>
#include <cstdint>

#include "common/random.h"

namespace muster {

// A balanced Feistel network on the smallest even number of bits that holds n, walked until it lands below n (fewer
// than four steps on average). Bijective for every key.
// Source: Black, Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (cycle walking).
class KeyedPermutation {
 public:
  KeyedPermutation(uint64_t size, uint64_t key)
      : size_(size), key_(key), half_bits_((std::bit_width(size > 1 ? size - 1 : 1) + 1) / 2) {}

  // The element at `position` < size.
  uint64_t operator()(uint64_t position) const {
    uint64_t value = position;
    do {
      value = Encrypt(value);
    } while (value >= size_);
    return value;
  }

 private:
  static constexpr uint64_t kRounds = 8;
  uint64_t Encrypt(uint64_t value) const {
    const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
    uint64_t left = value >> half_bits_, right = value & mask;
    for (uint64_t round = 0; round < kRounds; ++round) {
      const uint64_t mixed = left ^ (MixKey(MixKey(key_, round), right) & mask);
      left = right;
      right = mixed;
    }
    return left << half_bits_ | right;
  }

  uint64_t size_, key_;
  int half_bits_;
};

}  // namespace muster
