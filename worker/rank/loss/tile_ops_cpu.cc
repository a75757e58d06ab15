// A row of a tile stays in the first-level cache between its two reads: one for the maximum, one for exp and sum.
// Lanes are fixed by the source, not by the machine's vectors, and rows are independent: sums do not depend on threads.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "worker/rank/loss/tile_ops.h"

namespace muster {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kElementsPerThread = 32768;  // below it another thread costs more than it saves

typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(kLanes * sizeof(int32_t))));

#if defined(__x86_64__) && defined(__GNUC__)
#define MUSTER_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MUSTER_VECTOR_CLONES
#endif

// exp to about one unit in the last place; 0 below -87.3, where float32 has no normal number, and so for -inf. By
// Cody and Waite's reduction to |r| <= log(2) / 2, and the polynomial of Cephes' expf.
[[gnu::always_inline]] inline void Exp(Floats& x) {
  constexpr float kLow = -87.3f, kHigh = 88.3f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: added, it rounds to an integer that stands in the low bits
  const Ints tiny = x < kLow;
  x = tiny ? Floats{} + kLow : x;
  x = x > kHigh ? Floats{} + kHigh : x;
  const Floats shifted = x * 1.44269504088896341f + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const Ints exponent = ((Ints)shifted - 0x4B400000 + 127) << 23;
  p *= (Floats)exponent;  // a cast between vectors keeps the bits
  x = tiny ? Floats{} : p;
}

[[gnu::always_inline]] inline void Load(const float* from, Floats& to) { __builtin_memcpy(&to, from, sizeof(Floats)); }
[[gnu::always_inline]] inline void Store(const Floats& from, float* to) { __builtin_memcpy(to, &from, sizeof(Floats)); }

// The last, partial vector of a row, filled up with `rest`.
[[gnu::always_inline]] inline void LoadPart(const float* from, int64_t count, float rest, Floats& to) {
  to = Floats{} + rest;
  __builtin_memcpy(&to, from, count * sizeof(float));
}

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
  for (const Floats& some : top) {
    for (int64_t lane = 0; lane < kLanes; ++lane) all = std::max(all, some[lane]);
  }
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
  float all = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) all += folded[lane];
  return all;
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
    __builtin_memcpy(s + i, &x, (width - i) * sizeof(float));
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
  const int64_t* at = excluded.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < excluded.numel(); ++i) scores[at[i]] = value;
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
};

}  // namespace

const TileOps& CpuTileOps() {
  static const Cpu ops;
  return ops;
}

}  // namespace muster
