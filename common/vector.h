// Vectors of 16 numbers for inner loops. Their width is fixed by the source, not by the processor, so that the order of sums is
// fixed, too. GCC splits them into the vectors that the processor has.
//
// Put MUSTER_VECTOR_CLONES before a function that has such a loop: it is compiled for three kinds of processor, and the
// kind is chosen when the program starts. Everything here is always inlined, and takes and returns vectors by reference:
// by value, calls would follow other conventions in each clone.
#pragma once

#include <algorithm>
#include <cstdint>

// The sanitizers instrument the function that chooses a clone, which runs before they are ready.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define MUSTER_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MUSTER_VECTOR_CLONES
#endif

#define MUSTER_INLINE [[gnu::always_inline]] inline

namespace muster {

constexpr int64_t kLanes = 16;

typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(kLanes * sizeof(int32_t))));
typedef uint32_t Words __attribute__((vector_size(kLanes * sizeof(uint32_t))));

MUSTER_INLINE void Load(const float* from, Floats& to) { __builtin_memcpy(&to, from, sizeof(Floats)); }
MUSTER_INLINE void Store(const Floats& from, float* to) { __builtin_memcpy(to, &from, sizeof(Floats)); }

// The last, partial vector of a row: `count` < 16 numbers, and `rest` in the other lanes.
MUSTER_INLINE void LoadPart(const float* from, int64_t count, float rest, Floats& to) {
  to = Floats{} + rest;
  __builtin_memcpy(&to, from, count * sizeof(float));
}
MUSTER_INLINE void StorePart(const Floats& from, int64_t count, float* to) {
  __builtin_memcpy(to, &from, count * sizeof(float));
}

// Adds the lanes in the same order on every processor: the two halves of the vector, then the two halves of the result,
// and so on.
MUSTER_INLINE float SumOfLanes(const Floats& x) {
  Floats sum = x;
  sum += __builtin_shufflevector(sum, sum, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  sum += __builtin_shufflevector(sum, sum, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  sum += __builtin_shufflevector(sum, sum, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return sum[0] + sum[1];
}
MUSTER_INLINE float LargestLane(const Floats& x) {
  Floats largest = x, other;
  other = __builtin_shufflevector(largest, largest, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  largest = other > largest ? other : largest;
  other = __builtin_shufflevector(largest, largest, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  largest = other > largest ? other : largest;
  other = __builtin_shufflevector(largest, largest, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  largest = other > largest ? other : largest;
  return std::max(largest[0], largest[1]);
}

// p <- exp(r) for |r| <= log(2) / 2, by the polynomial of Cephes' expf.
MUSTER_INLINE void ExpOfRemainder(const Floats& r, Floats& p) {
  p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
}

// exp to 2 units in the last place; 0 below -87.3, where float32 has no normal number, and so for -inf. By Cody and
// Waite's reduction, and ExpOfRemainder.
MUSTER_INLINE void Exp(Floats& x) {
  constexpr float kLow = -87.3f, kHigh = 88.3f;
  constexpr float kRound = 12582912.0f;  // adding 1.5 * 2^23 rounds to an integer, in the low bits
  const Ints tiny = x < kLow;
  x = tiny ? Floats{} + kLow : x;
  x = x > kHigh ? Floats{} + kHigh : x;
  const Floats shifted = x * 1.44269504088896341f + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p;
  ExpOfRemainder(r, p);
  const Ints exponent = ((Ints)shifted - 0x4B400000 + 127) << 23;
  p *= (Floats)exponent;  // a cast between vectors keeps the bits
  x = tiny ? Floats{} : p;
}

// erf to 6 units in the last place, and at most 1. A minimax quotient x * P(x^2) / Q(x^2) on |x| <= 3.95, fitted for
// relative error (2.4e-9); beyond, float32 has no number between erf and 1.
MUSTER_INLINE void Erf(Floats& x) {
  constexpr float kEnd = 3.95f;
  x = x > kEnd ? Floats{} + kEnd : x;
  x = x < -kEnd ? Floats{} - kEnd : x;
  const Floats u = x * x;
  Floats p = u * 6.658989972e-6f + 4.076640201e-4f;
  p = p * u + 4.206056207e-3f;
  p = p * u + 5.564173049e-2f;
  p = p * u + 1.926161852e-1f;
  p = p * u + 1.12837917f;
  Floats q = u * 2.530029284e-7f + 7.161412095e-5f;
  q = q * u + 1.412365e-3f;
  q = q * u + 1.624249545e-2f;
  q = q * u + 1.173222936e-1f;
  q = q * u + 5.040350749e-1f;
  q = q * u + 1.0f;
  x = x * p / q;
  x = x > 1.0f ? Floats{} + 1.0f : x;
  x = x < -1.0f ? Floats{} - 1.0f : x;
}

// tanh to 6 units in the last place, and at most 1. Like Erf, on |x| <= 9 (2.1e-8).
MUSTER_INLINE void Tanh(Floats& x) {
  constexpr float kEnd = 9.0f;
  x = x > kEnd ? Floats{} + kEnd : x;
  x = x < -kEnd ? Floats{} - kEnd : x;
  const Floats u = x * x;
  Floats p = u * 1.335520425e-8f + 2.060954548e-5f;
  p = p * u + 3.49561945e-3f;
  p = p * u + 1.338105308e-1f;
  p = p * u + 9.999999794e-1f;
  Floats q = u * 7.776801411e-7f + 3.285683795e-4f;
  q = q * u + 2.587710468e-2f;
  q = q * u + 4.67143687e-1f;
  q = q * u + 1.0f;
  x = x * p / q;
  x = x > 1.0f ? Floats{} + 1.0f : x;
  x = x < -1.0f ? Floats{} - 1.0f : x;
}

// The standard normal distribution function at x, and its density. GELU is x * distribution, and its derivative is
// distribution + x * density.
MUSTER_INLINE void Normal(const Floats& x, Floats& distribution, Floats& density) {
  distribution = x * 0.707106781186547524f;
  Erf(distribution);
  distribution = distribution * 0.5f + 0.5f;
  density = x * x * -0.5f;
  Exp(density);
  density *= 0.398942280401432678f;
}

// The blocks Philox({first + i, 0, 0}, key) of common/random.h for i < 16, bit for bit: word w of block i is
// out[4 * i + w]. `first` counts in 64 bits. Read as uint16_t, or uint8_t, they are the blocks' 128, or 256, numbers in
// order on a little-endian machine.
MUSTER_INLINE void PhiloxBlocks(uint64_t key, uint64_t first, uint32_t out[4 * kLanes]) {
  // Each 64-bit lane holds one 32-bit word, so that products need no shuffle. Two vectors at a time hide the latency.
  typedef uint64_t Longs __attribute__((vector_size(8 * sizeof(uint64_t))));
  constexpr uint64_t kWord = 0xffffffff;
  Longs c0[2], c1[2], c2[2] = {}, c3[2] = {};
  for (int half = 0; half < 2; ++half) {
    const Longs counter = Longs{0, 1, 2, 3, 4, 5, 6, 7} + (first + 8 * half);
    c0[half] = counter & kWord;
    c1[half] = counter >> 32;
  }
  uint64_t k0 = key & kWord, k1 = key >> 32;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const Longs p0 = c0[half] * uint64_t{0xD2511F53}, p1 = c2[half] * uint64_t{0xCD9E8D57};
      c0[half] = ((p1 >> 32) ^ c1[half] ^ k0) & kWord;
      c1[half] = p1 & kWord;
      c2[half] = ((p0 >> 32) ^ c3[half] ^ k1) & kWord;
      c3[half] = p0 & kWord;
    }
    k0 = (k0 + 0x9E3779B9) & kWord;
    k1 = (k1 + 0xBB67AE85) & kWord;
  }
  for (int half = 0; half < 2; ++half) {
    const Longs low = c0[half] | (c1[half] << 32), high = c2[half] | (c3[half] << 32);
    const Longs blocks[2] = {__builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11),
                             __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15)};
    __builtin_memcpy(out + 32 * half, blocks, sizeof(blocks));
  }
}

}  // namespace muster
