// The parts of the CPU's row operations: rows of float32, float64 or bfloat16 as vectors of 16 numbers in the type
// that arithmetic is done in. See encoder_ops.h for E and P. Everything is inlined into the clones of its callers.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/vector.h"
#include "worker/rank/model/element_type.h"
#include "worker/rank/model/encoder_ops.h"

namespace muster::cpu {

typedef double Doubles __attribute__((vector_size(kLanes * sizeof(double))));
typedef int64_t Longs __attribute__((vector_size(kLanes * sizeof(int64_t))));
typedef uint16_t Halves __attribute__((vector_size(kLanes * sizeof(uint16_t))));

template <typename E>
struct Of {
  using P = float;
  using Vector = Floats;
  using Select = Ints;
};
template <>
struct Of<double> {
  using P = double;
  using Vector = Doubles;
  using Select = Longs;
};
template <typename E>
using ParameterOf = typename Of<E>::P;

MUSTER_INLINE void LoadRow(const float* from, Floats& to) { __builtin_memcpy(&to, from, sizeof(Floats)); }
MUSTER_INLINE void LoadRow(const double* from, Doubles& to) { __builtin_memcpy(&to, from, sizeof(Doubles)); }
MUSTER_INLINE void LoadRow(const c10::BFloat16* from, Floats& to) {
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof(halves));
  to = (Floats)(__builtin_convertvector(halves, Words) << 16);
}
MUSTER_INLINE void StoreRow(const Floats& from, float* to) { __builtin_memcpy(to, &from, sizeof(Floats)); }
MUSTER_INLINE void StoreRow(const Doubles& from, double* to) { __builtin_memcpy(to, &from, sizeof(Doubles)); }
// Rounds to nearest, ties to even, as c10::BFloat16 does.
MUSTER_INLINE void StoreRow(const Floats& from, c10::BFloat16* to) {
  const Words bits = (Words)from;
  Words rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  rounded = from == from ? rounded : Words{} + 0x7FC0;
  const Halves halves = __builtin_convertvector(rounded, Halves);
  __builtin_memcpy(to, &halves, sizeof(halves));
}

// `count` numbers, at most 16; the other lanes are 0. A null pointer gives 0.
template <typename E, typename Vector>
MUSTER_INLINE void LoadSome(const E* from, int64_t count, Vector& to) {
  if (count >= kLanes) {
    LoadRow(from, to);
  } else {
    E part[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) part[i] = from[i];
    LoadRow(part, to);
  }
}
template <typename E, typename Vector>
MUSTER_INLINE void StoreSome(const Vector& from, int64_t count, E* to) {
  if (count >= kLanes) {
    StoreRow(from, to);
  } else {
    E part[kLanes];
    StoreRow(from, part);
    for (int64_t i = 0; i < count; ++i) to[i] = part[i];
  }
}
// to[0..count) += x.
template <typename P, typename Vector>
MUSTER_INLINE void AddSome(const Vector& x, int64_t count, P* to) {
  Vector sum;
  LoadSome(to, count, sum);
  sum += x;
  StoreSome(sum, count, to);
}

// Adds pairs of lanes, half as far apart each time: the same order on every processor.
template <typename Vector>
MUSTER_INLINE auto AddLanes(const Vector& x) {
  auto part = x;
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) part[lane] += part[lane + half];
  }
  return part[0];
}

// 16-bit decisions of dropout for `width` elements of a sequence from `first` on. `buffer` holds DecisionsFor(width).
constexpr int64_t kDecisionsPerBlock = 8, kDecisionsPerDraw = kDecisionsPerBlock * kLanes;
constexpr int64_t DecisionsFor(int64_t width) {
  return (width + kDecisionsPerBlock - 1 + kDecisionsPerDraw - 1) / kDecisionsPerDraw * kDecisionsPerDraw + kLanes;
}
MUSTER_INLINE const uint16_t* DrawDecisions(uint64_t key, int64_t first, int64_t width, uint16_t* buffer) {
  const int64_t block = first / kDecisionsPerBlock, skipped = first % kDecisionsPerBlock;
  for (int64_t drawn = 0; drawn < skipped + width; drawn += kDecisionsPerDraw) {
    uint32_t words[4 * kLanes];
    PhiloxBlocks(key, static_cast<uint64_t>(block + drawn / kDecisionsPerBlock), words);
    __builtin_memcpy(buffer + drawn, words, sizeof(words));
  }
  return buffer + skipped;
}

// x * (decision < threshold ? 0 : scale).
MUSTER_INLINE void Drop(const uint16_t* decisions, uint32_t threshold, float scale, Floats& x) {
  Halves halves;
  __builtin_memcpy(&halves, decisions, sizeof(halves));
  const Ints wide = __builtin_convertvector(halves, Ints);
  x *= wide < static_cast<int32_t>(threshold) ? Floats{} : Floats{} + scale;
}
MUSTER_INLINE void Drop(const uint16_t* decisions, uint32_t threshold, double scale, Doubles& x) {
  Halves halves;
  __builtin_memcpy(&halves, decisions, sizeof(halves));
  const Longs wide = __builtin_convertvector(halves, Longs);
  x *= wide < static_cast<int64_t>(threshold) ? Doubles{} : Doubles{} + scale;
}

// The masks of rows that are visited in ascending order.
class RowMasks {
 public:
  RowMasks(const RowMask& mask, const SequencePlan& plan, int64_t width)
      : mask_(mask), plan_(plan), width_(width), buffer_(mask.active() ? DecisionsFor(width) : 0) {}
  bool active() const { return mask_.active(); }
  uint32_t threshold() const { return mask_.rate.threshold; }
  double scale() const { return mask_.rate.scale; }
  // Decisions of a row of the plan; null where the mask is inactive.
  MUSTER_INLINE const uint16_t* Draw(int64_t row) {
    if (!active()) return nullptr;
    if (row < begin_ || row >= end_) Seek(row);
    return DrawDecisions(key_, (row - begin_) * width_, width_, buffer_.data());
  }

 private:
  void Seek(int64_t row) {
    const auto after = std::upper_bound(plan_.first_rows.begin(), plan_.first_rows.end(), row);
    const int64_t sequence = after - plan_.first_rows.begin() - 1;
    begin_ = plan_.first_rows[sequence];
    end_ = begin_ + plan_.lengths[sequence];
    key_ = DropoutKey(plan_.keys[sequence], mask_.place);
  }

  const RowMask mask_;
  const SequencePlan& plan_;
  const int64_t width_;
  std::vector<uint16_t> buffer_;
  int64_t begin_ = 0, end_ = 0;
  uint64_t key_ = 0;
};

// Rows are cut into blocks of this many, whatever the number of threads: each block has separate column sums, which are added
// in the order of the blocks.
constexpr int64_t kRowsPerBlock = 64;
inline int64_t BlocksOf(int64_t rows) { return (rows + kRowsPerBlock - 1) / kRowsPerBlock; }

// Calls operation(block, begin row, end row) for all blocks, on all threads if there is enough to do.
template <typename Operation>
void ForBlocks(int64_t rows, int64_t width, const Operation& operation) {
  constexpr int64_t kNumbersPerThread = 16384;  // below it another thread costs more than it saves
  const int64_t grain = std::max<int64_t>(1, kNumbersPerThread / (kRowsPerBlock * std::max<int64_t>(1, width)));
  at::parallel_for(0, BlocksOf(rows), grain, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      operation(block, block * kRowsPerBlock, std::min(rows, (block + 1) * kRowsPerBlock));
    }
  });
}

// Column sums of blocks of rows: `vectors` of them, each of `width` numbers.
template <typename P>
class BlockSums {
 public:
  BlockSums(int64_t rows, int64_t vectors, int64_t width, const at::TensorOptions& options)
      : blocks_(BlocksOf(rows)), vectors_(vectors), width_(width) {
    sums_ = at::empty({blocks_, vectors, width}, options);
  }
  // All are 0 at first.
  P* OfBlock(int64_t block) {
    P* sums = sums_.template mutable_data_ptr<P>() + block * vectors_ * width_;
    std::fill_n(sums, vectors_ * width_, P{0});
    return sums;
  }
  // Adds vector `index`, from `first_column` on, to `to`; nothing where it is undefined.
  void AddTo(int64_t index, const at::Tensor& to, int64_t first_column = 0) const {
    if (!to.defined()) return;
    P* out = to.template mutable_data_ptr<P>();
    const int64_t count = to.numel();
    for (int64_t block = 0; block < blocks_; ++block) {
      const P* sums = sums_.template const_data_ptr<P>() + (block * vectors_ + index) * width_ + first_column;
      for (int64_t i = 0; i < count; ++i) out[i] += sums[i];
    }
  }

 private:
  const int64_t blocks_, vectors_, width_;
  at::Tensor sums_;
};

template <typename T>
const T* DataOf(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}
template <typename T>
T* MutableDataOf(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<T>() : nullptr;
}

}  // namespace muster::cpu
