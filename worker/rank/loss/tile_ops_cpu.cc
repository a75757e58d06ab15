// A row of a tile stays in the first-level cache between its two reads: one for the maximum, one for exp and sum.
// Lanes are fixed by the source, not by the machine's vectors, and rows are independent: sums do not depend on threads.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "common/vector.h"
#include "worker/rank/loss/tile_ops.h"

namespace muster {
namespace {

constexpr int64_t kElementsPerThread = 32768;  // below it another thread costs more than it saves

MUSTER_VECTOR_CLONES
float MaxOf(const float* s, int64_t width) {
  const Floats none = Floats{} - std::numeric_limits<float>::infinity();
  Floats top[4] = {none, none, none, none}, x;
  int64_t i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes) {
    for (int64_t k = 0; k < 4; ++k) {
      Load(s + i + k * kLanes, x);
      top[k] = x > top[k] ? x : top[k];
    }
  }
  for (; i < width; i += kLanes) {
    LoadPart(s + i, std::min(kLanes, width - i), -std::numeric_limits<float>::infinity(), x);
    top[0] = x > top[0] ? x : top[0];
  }
  float all = -std::numeric_limits<float>::infinity();
  for (const Floats& some : top) all = std::max(all, LargestLane(some));
  return all;
}

MUSTER_VECTOR_CLONES
float SumExp(const float* s, int64_t width, float base) {
  Floats sum[4] = {}, x;
  int64_t i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes) {
    for (int64_t k = 0; k < 4; ++k) {
      Load(s + i + k * kLanes, x);
      x -= base;
      Exp(x);
      sum[k] += x;
    }
  }
  for (; i < width; i += kLanes) {
    LoadPart(s + i, std::min(kLanes, width - i), -std::numeric_limits<float>::infinity(), x);
    x -= base;
    Exp(x);
    sum[0] += x;
  }
  const Floats folded = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  return SumOfLanes(folded);
}

MUSTER_VECTOR_CLONES
void ScaleExp(float* s, int64_t width, float base, float scale) {
  Floats x;
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    Load(s + i, x);
    x -= base;
    Exp(x);
    x *= scale;
    Store(x, s + i);
  }
  if (i < width) {
    LoadPart(s + i, width - i, 0, x);
    x -= base;
    Exp(x);
    x *= scale;
    StorePart(x, width - i, s + i);
  }
}

double MaxOf(const double* s, int64_t width) {
  return width == 0 ? -std::numeric_limits<double>::infinity() : *std::max_element(s, s + width);
}
double SumExp(const double* s, int64_t width, double base) {
  double sum = 0;
  for (int64_t i = 0; i < width; ++i) sum += std::exp(s[i] - base);
  return sum;
}
void ScaleExp(double* s, int64_t width, double base, double scale) {
  for (int64_t i = 0; i < width; ++i) s[i] = scale * std::exp(s[i] - base);
}

template <typename T>
void Put(const at::Tensor& excluded, T value, T* scores) {
  if (!excluded.defined()) return;
  const int64_t* positions = excluded.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < excluded.numel(); ++i) scores[positions[i]] = value;
}

template <typename Visit>
void ForRows(const at::Tensor& scores, const Visit& visit) {
  const int64_t grain = std::max<int64_t>(1, kElementsPerThread / std::max<int64_t>(1, scores.size(1)));
  at::parallel_for(0, scores.size(0), grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) visit(row);
  });
}

template <typename T>
void Accumulate(at::Tensor& scores, const at::Tensor& excluded, at::Tensor& top, at::Tensor& sum) {
  constexpr T kNone = -std::numeric_limits<T>::infinity();
  T* s = scores.mutable_data_ptr<T>();
  T* tops = top.mutable_data_ptr<T>();
  T* sums = sum.mutable_data_ptr<T>();
  const int64_t width = scores.size(1);
  Put(excluded, kNone, s);
  ForRows(scores, [=](int64_t row) {
    const T next = std::max(tops[row], MaxOf(s + row * width, width));
    if (next == kNone) return;
    sums[row] = sums[row] * std::exp(tops[row] - next) + SumExp(s + row * width, width, next);
    tops[row] = next;
  });
}

template <typename T>
void WeighRows(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& lse, const at::Tensor& scale) {
  T* s = scores.mutable_data_ptr<T>();
  const T* bases = lse.const_data_ptr<T>();
  const T* scales = scale.const_data_ptr<T>();
  const int64_t width = scores.size(1);
  ForRows(scores, [=](int64_t row) {
    if (scales[row] == 0) {
      std::fill_n(s + row * width, width, T{0});
    } else {
      ScaleExp(s + row * width, width, bases[row], scales[row]);
    }
  });
  Put(excluded, T{0}, s);
}

template <typename T>
void IgnoreRows(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& limits, at::Tensor& counts,
                at::Tensor& sums) {
  constexpr T kNone = -std::numeric_limits<T>::infinity();
  T* s = scores.mutable_data_ptr<T>();
  const T* limit = limits.const_data_ptr<T>();
  double* count = counts.defined() ? counts.mutable_data_ptr<double>() : nullptr;
  double* sum = counts.defined() ? sums.mutable_data_ptr<double>() : nullptr;
  const int64_t width = scores.size(1);
  Put(excluded, kNone, s);
  ForRows(scores, [=](int64_t row) {
    int64_t ignored = 0;
    double total = 0;
    for (T* score = s + row * width; score != s + (row + 1) * width; ++score) {
      if (!(*score > limit[row])) continue;
      ++ignored;
      total += *score;
      *score = kNone;
    }
    if (count == nullptr) return;
    count[row] += static_cast<double>(ignored);
    sum[row] += total;
  });
}

constexpr int64_t kDotLanes = 8;

template <typename T>
double Dot(const T* x, const T* y, int64_t size) {
  double lanes[kDotLanes] = {};
  int64_t i = 0;
  for (; i + kDotLanes <= size; i += kDotLanes) {
    for (int64_t k = 0; k < kDotLanes; ++k) lanes[k] += static_cast<double>(x[i + k]) * y[i + k];
  }
  for (; i < size; ++i) lanes[0] += static_cast<double>(x[i]) * y[i];
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// Works in place: a gather would copy each row several times.
template <typename T>
void DotsOf(const at::Tensor& queries, const at::Tensor& passages, const at::Tensor& rows, const at::Tensor& columns,
            at::Tensor& dots) {
  const int64_t size = queries.size(1);
  const T* q = queries.const_data_ptr<T>();
  const T* p = passages.const_data_ptr<T>();
  const int64_t* row = rows.const_data_ptr<int64_t>();
  const int64_t* column = columns.const_data_ptr<int64_t>();
  double* out = dots.mutable_data_ptr<double>();
  at::parallel_for(0, rows.numel(), 128, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = Dot(q + row[i] * size, p + column[i] * size, size);
  });
}

template <typename T>
void ScatterAll(at::Tensor& scores, const at::Tensor& positions, const at::Tensor& values) {
  T* s = scores.mutable_data_ptr<T>();
  const int64_t* position = positions.const_data_ptr<int64_t>();
  const T* value = values.const_data_ptr<T>();
  for (int64_t i = 0; i < positions.numel(); ++i) s[position[i]] = value[i];
}

class Cpu : public TileOps {
 public:
  void AccumulateLse(at::Tensor& scores, const at::Tensor& excluded, at::Tensor& top, at::Tensor& sum) const override {
    scores.scalar_type() == at::kDouble ? Accumulate<double>(scores, excluded, top, sum)
                                        : Accumulate<float>(scores, excluded, top, sum);
  }
  void Weigh(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& lse,
             const at::Tensor& scale) const override {
    scores.scalar_type() == at::kDouble ? WeighRows<double>(scores, excluded, lse, scale)
                                        : WeighRows<float>(scores, excluded, lse, scale);
  }
  void Scatter(at::Tensor& scores, const at::Tensor& positions, const at::Tensor& values) const override {
    scores.scalar_type() == at::kDouble ? ScatterAll<double>(scores, positions, values)
                                        : ScatterAll<float>(scores, positions, values);
  }
  void IgnoreAbove(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& limits, at::Tensor& counts,
                   at::Tensor& sums) const override {
    scores.scalar_type() == at::kDouble ? IgnoreRows<double>(scores, excluded, limits, counts, sums)
                                        : IgnoreRows<float>(scores, excluded, limits, counts, sums);
  }
  void PairDots(const at::Tensor& queries, const at::Tensor& passages, const at::Tensor& rows,
                const at::Tensor& columns, at::Tensor& dots) const override {
    const bool dense = queries.is_contiguous() && passages.is_contiguous();
    if (dense && queries.scalar_type() == at::kFloat) return DotsOf<float>(queries, passages, rows, columns, dots);
    if (dense && queries.scalar_type() == at::kDouble) return DotsOf<double>(queries, passages, rows, columns, dots);
    TileOps::PairDots(queries, passages, rows, columns, dots);
  }
};

}  // namespace

const TileOps& CpuTileOps() {
  static const Cpu ops;
  return ops;
}

}  // namespace muster
