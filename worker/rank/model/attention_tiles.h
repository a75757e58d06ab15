// The parts of attention on the CPU: products of tiles that fit in a cache, packing, and rows of the softmax. Nothing
// here depends on which thread runs it, and every sum has an order that the sequence alone fixes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "common/vector.h"

namespace muster {

constexpr int64_t RoundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Element (m, k) of a product's left factor: data[m * row + k * step].
struct LeftFactor {
  const float* data;
  int64_t row, step;
};

// Tiles that fill the registers of one kind of processor: kRows rows (a multiple of 3) of kVectors vectors, and one vector for
// each factor. A vector wider than the processor's would be kept in memory between the steps of a sum.
struct Registers64 {
  typedef float Vector __attribute__((vector_size(64)));
  static constexpr int kRows = 12, kVectors = 2;  // of 32
};
struct Registers32 {
  typedef float Vector __attribute__((vector_size(32)));
  static constexpr int kRows = 6, kVectors = 2;  // of 16
};
struct Registers16 {
  typedef float Vector __attribute__((vector_size(16)));
  static constexpr int kRows = 6, kVectors = 2;  // of 16
};
template <typename Registers>
constexpr int64_t kWidthOf = sizeof(typename Registers::Vector) / sizeof(float);

// c[m][n] = or += the sum over k, ascending, of a(m, k) * b[k][n], for R rows and V vectors of columns.
template <typename Registers, int R, int V, bool add>
MUSTER_INLINE void ProductTile(int64_t depth, const LeftFactor& a, const float* b, int64_t b_row, float* c,
                               int64_t c_row) {
  using Vector = typename Registers::Vector;
  constexpr int64_t kWidth = kWidthOf<Registers>;
  Vector sum[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      if constexpr (add) {
        std::memcpy(&sum[r][v], c + r * c_row + v * kWidth, sizeof(Vector));
      } else {
        sum[r][v] = Vector{};
      }
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    Vector right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) std::memcpy(&right[v], b + k * b_row + v * kWidth, sizeof(Vector));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float left = a.data[r * a.row + k * a.step];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] += left * right[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) std::memcpy(c + r * c_row + v * kWidth, &sum[r][v], sizeof(Vector));
  }
}

template <typename Registers, int V, bool add>
MUSTER_INLINE void ProductStrip(int64_t rows, int64_t depth, LeftFactor a, const float* b, int64_t b_row, float* c,
                                int64_t c_row) {
  constexpr int R = Registers::kRows, kThird = R / 3;
  for (; rows > 2 * kThird; rows -= R, a.data += R * a.row, c += R * c_row) {
    ProductTile<Registers, R, V, add>(depth, a, b, b_row, c, c_row);
  }
  if (rows > kThird) {
    ProductTile<Registers, 2 * kThird, V, add>(depth, a, b, b_row, c, c_row);
  } else if (rows > 0) {
    ProductTile<Registers, kThird, V, add>(depth, a, b, b_row, c, c_row);
  }
}

// All of c, [rows, columns], columns a multiple of kLanes. `a` and `c` must have rows up to the next multiple of kRows / 3; the
// content of the extra rows is meaningless.
template <typename Registers, bool add>
MUSTER_INLINE void Product(int64_t rows, int64_t columns, int64_t depth, const LeftFactor& a, const float* b,
                           int64_t b_row, float* c, int64_t c_row) {
  constexpr int V = Registers::kVectors;
  constexpr int64_t kWidth = kWidthOf<Registers>;
  int64_t n = 0;
  for (; n + V * kWidth <= columns; n += V * kWidth) {
    ProductStrip<Registers, V, add>(rows, depth, a, b + n, b_row, c + n, c_row);
  }
  if constexpr (V * kWidth > kLanes) {
    for (; n < columns; n += kWidth) ProductStrip<Registers, 1, add>(rows, depth, a, b + n, b_row, c + n, c_row);
  }
}

// to[c][r] = scale * from[r][c] for 16 rows and columns, in four rounds that interleave rows 8 apart.
template <bool scaled = false>
MUSTER_INLINE void TransposeBlock(const float* from, int64_t from_row, float* to, int64_t to_row, float scale = 1) {
  constexpr Ints kLow = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  constexpr Ints kHigh = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  Floats a[kLanes], b[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) Load(from + i * from_row, a[i]);
#pragma GCC unroll 2
  for (int round = 0; round < 2; ++round) {
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      b[2 * i] = __builtin_shuffle(a[i], a[i + kLanes / 2], kLow);
      b[2 * i + 1] = __builtin_shuffle(a[i], a[i + kLanes / 2], kHigh);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      a[2 * i] = __builtin_shuffle(b[i], b[i + kLanes / 2], kLow);
      a[2 * i + 1] = __builtin_shuffle(b[i], b[i + kLanes / 2], kHigh);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if constexpr (scaled) a[i] *= scale;
    Store(a[i], to + i * to_row);
  }
}

// `rows` and `columns` are multiples of kLanes.
MUSTER_INLINE void Transpose(const float* from, int64_t from_row, int64_t rows, int64_t columns, float* to,
                             int64_t to_row) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    for (int64_t c = 0; c < columns; c += kLanes) {
      TransposeBlock(from + r * from_row + c, from_row, to + c * to_row + r, to_row);
    }
  }
}

// Keeps 128 decisions of one mask (dropout.h), around the last element that was requested. As long as requests ascend,
// each decision is drawn once.
class Decisions {
 public:
  // `buffer` holds Room(count) numbers, for the largest `count` that will be requested.
  static constexpr int64_t Room(int64_t count) { return RoundUp(count, kEach) + 2 * kEach; }
  explicit Decisions(uint16_t* buffer) : buffer_(buffer) {}
  void Start(uint64_t key) {
    key_ = key;
    first_ = end_ = 0;
  }
  // The numbers of `count` elements from `element` on. At least 15 more can be read, whose values are undefined.
  MUSTER_INLINE const uint16_t* Of(uint64_t element, int64_t count) {
    const uint64_t first = element / kEach, end = (element + count + kEach - 1) / kEach;
    if (first < first_ || end > end_) Draw(first, end);
    return buffer_ + (element - first_ * kEach);
  }

 private:
  static constexpr int64_t kEach = 8 * kLanes;
  MUSTER_INLINE void Draw(uint64_t first, uint64_t end) {
    uint64_t next = first;
    if (first >= first_ && first < end_) {
      std::memmove(buffer_, buffer_ + (first - first_) * kEach, (end_ - first) * kEach * sizeof(uint16_t));
      next = end_;
    }
    for (first_ = first; next < end; ++next) {
      uint32_t words[4 * kLanes];
      PhiloxBlocks(key_, next * kLanes, words);
      std::memcpy(buffer_ + (next - first) * kEach, words, sizeof(words));
    }
    end_ = end;
  }
  uint16_t* buffer_;
  uint64_t key_ = 0, first_ = 0, end_ = 0;  // in units of kEach
};

// Processes one row of scores, whose columns are the keys from first_key on.
struct ScoreRow {
  int64_t first_key, vectors;
  int64_t seen_begin, seen_end;  // keys; others have probability 0
  const float* bias;             // starts at first_key; null: none
  const uint16_t* decisions;     // starts at first_key; null: all are kept
  uint32_t threshold;
};

// Lane by lane: whether the key is seen, and whether it is kept.
MUSTER_INLINE void SeenLanes(const ScoreRow& row, int64_t v, Ints& seen) {
  constexpr Ints kLane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Ints key = kLane + static_cast<int32_t>(row.first_key + v * kLanes);
  seen = (key >= static_cast<int32_t>(row.seen_begin)) & (key < static_cast<int32_t>(row.seen_end));
}
MUSTER_INLINE void KeptLanes(const ScoreRow& row, int64_t v, Ints& kept) {
  typedef uint16_t Halves __attribute__((vector_size(kLanes * sizeof(uint16_t))));
  Halves halves;
  std::memcpy(&halves, row.decisions + v * kLanes, sizeof(halves));
  kept = __builtin_convertvector(halves, Ints) >= static_cast<int32_t>(row.threshold);
}
MUSTER_INLINE bool AllSeen(const ScoreRow& row, int64_t v) {
  const int64_t key = row.first_key + v * kLanes;
  return key >= row.seen_begin && key + kLanes <= row.seen_end;
}

// The lanes of keys that are not seen become `value`.
MUSTER_INLINE void SetUnseen(const ScoreRow& row, float value, float* s) {
  for (int64_t v = 0; v < row.vectors; ++v) {
    if (AllSeen(row, v)) {
      // The keys that a query sees are consecutive.
      v = std::max(v, (row.seen_end - row.first_key) / kLanes - 1);
      continue;
    }
    Floats x;
    Ints lanes;
    Load(s + v * kLanes, x);
    SeenLanes(row, v, lanes);
    x = lanes ? x : Floats{} + value;
    Store(x, s + v * kLanes);
  }
}

// exp(x) for x <= 0, within 2 units in the last place near 0 and 5 at -87; smaller x count as -87. Like Exp(), but with one
// step of the reduction, because scores far below the largest add little to a sum.
MUSTER_INLINE void ExpOfNegative(Floats& x) {
  constexpr float kRound = 12582912.0f + 127;  // the low bits of x / log(2) + kRound are the exponent of the result
  const Floats low = Floats{} - 87.3f;
  x = low > x ? low : x;  // keeps a NaN
  const Floats shifted = x * 1.44269504088896341f + kRound;
  const Floats r = x - (shifted - kRound) * 0.693147180559945f;
  Floats p;
  ExpOfRemainder(r, p);
  x = p * (Floats)((Ints)shifted << 23);
}

// s <- exp(s + bias - top), 0 where not seen or dropped. top: the largest of those seen. sum: of all seen, dropped ones
// included.
MUSTER_INLINE void SoftmaxRow(const ScoreRow& row, float* s, float& top, float& sum) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  Floats largest = Floats{} + kNone, total = Floats{}, x;
  if (row.bias != nullptr) {
    for (int64_t v = 0; v < row.vectors; ++v) {
      Floats bias;
      Load(s + v * kLanes, x);
      Load(row.bias + v * kLanes, bias);
      x += bias;
      Store(x, s + v * kLanes);
    }
  }
  SetUnseen(row, kNone, s);
  for (int64_t v = 0; v < row.vectors; ++v) {
    Load(s + v * kLanes, x);
    largest = x > largest ? x : largest;
  }
  const float subtracted = LargestLane(largest);  // not read through `top`, which might alias a score
  for (int64_t v = 0; v < row.vectors; ++v) {
    Load(s + v * kLanes, x);
    x -= subtracted;
    ExpOfNegative(x);
    total += x;
    if (row.decisions != nullptr) {
      Ints lanes;
      KeptLanes(row, v, lanes);
      x = lanes ? x : Floats{};
    }
    Store(x, s + v * kLanes);
  }
  SetUnseen(row, 0, s);
  top = subtracted;
  sum = SumOfLanes(total);
}

// Given scores s and the gradients d of mask * p: s <- mask * p, d <- the gradients of s, p * (mask * d - delta).
MUSTER_INLINE void SoftmaxBackwardRow(const ScoreRow& row, float lse, float delta, float scale, float* s, float* d) {
  for (int64_t v = 0; v < row.vectors; ++v) {
    Floats p, g;
    Ints lanes;
    Load(s + v * kLanes, p);
    Load(d + v * kLanes, g);
    if (row.bias != nullptr) {
      Floats bias;
      Load(row.bias + v * kLanes, bias);
      p += bias;
    }
    p -= lse;
    Exp(p);
    if (!AllSeen(row, v)) {
      SeenLanes(row, v, lanes);
      p = lanes ? p : Floats{};
      g = lanes ? g : Floats{};
    }
    Floats masked = p * scale;
    g *= scale;
    if (row.decisions != nullptr) {
      KeptLanes(row, v, lanes);
      masked = lanes ? masked : Floats{};
      g = lanes ? g : Floats{};
    }
    Store(masked, s + v * kLanes);
    g = p * (g - delta);
    Store(g, d + v * kLanes);
  }
}

// The sum of a[i] * b[i], [width] padded with zeros to vectors.
MUSTER_INLINE float Dot(const float* a, const float* b, int64_t width) {
  Floats sum = Floats{}, x, y;
  for (int64_t i = 0; i < width; i += kLanes) {
    Load(a + i, x);
    Load(b + i, y);
    sum += x * y;
  }
  return SumOfLanes(sum);
}

}  // namespace muster
