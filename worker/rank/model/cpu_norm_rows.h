// Norms of a row and their gradients, for a row that fits in the nearest cache.
#pragma once

#include "worker/rank/model/cpu_encoder_ops.h"
#include "worker/rank/model/cpu_rows.h"

namespace muster::cpu {

template <typename P>
struct NormParameters {
  explicit NormParameters(const Norm& norm)
      : weight(DataOf<P>(norm.weight)),
        bias(DataOf<P>(norm.bias)),
        epsilon(static_cast<P>(norm.epsilon)),
        rms(norm.rms) {}
  const P* weight;
  const P* bias;
  const P epsilon;
  const bool rms;
};

// Mean (0 for RMSNorm) and 1 / deviation of a row, which is padded with zeros to whole vectors.
template <typename P, typename Vector>
MUSTER_INLINE void RowStatistics(const P* row, int64_t width, const NormParameters<P>& norm, const Vector& sum,
                                 P statistics[2]) {
  const P mean = norm.rms ? P{0} : AddLanes(sum) / static_cast<P>(width);
  Vector squares = {};
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    Vector x;
    LoadRow(row + i, x);
    x -= mean;
    squares += x * x;
  }
  P total = AddLanes(squares);
  for (; i < width; ++i) total += (row[i] - mean) * (row[i] - mean);
  statistics[0] = mean;
  statistics[1] = 1 / std::sqrt(total / static_cast<P>(width) + norm.epsilon);
}

// out = dropout((row - mean) / deviation * weight + bias).
template <typename E, typename P>
MUSTER_INLINE void StoreNormed(const P* row, int64_t width, const NormParameters<P>& norm, const P statistics[2],
                               const uint16_t* decisions, uint32_t threshold, P scale, E* out) {
  using Vector = typename Of<E>::Vector;
  for (int64_t i = 0; i < width; i += kLanes) {
    const int64_t count = std::min(kLanes, width - i);
    Vector x, weight, bias;
    LoadRow(row + i, x);
    LoadSome(norm.weight + i, count, weight);
    x = (x - statistics[0]) * statistics[1] * weight;
    if (norm.bias != nullptr) {
      LoadSome(norm.bias + i, count, bias);
      x += bias;
    }
    if (decisions != nullptr) Drop(decisions + i, threshold, scale, x);
    StoreSome(x, count, out + i);
  }
}

constexpr int64_t PaddedWidth(int64_t width) { return (width + kLanes - 1) / kLanes * kLanes; }

// The inputs of both passes over a row. `x`: the norm's input, padded.
template <typename P>
struct NormRow {
  const P* x;
  const P* d_out;  // padded
  int64_t width;
  const P* statistics;
};

// d_x = 1 / deviation * (g - mean(g) - normed * mean(g * normed)) with g = d_out * weight, plus what `before` holds;
// both sums of columns. store(i, count, d_x) takes each vector.
template <typename P, typename Vector, typename Store>
MUSTER_INLINE void NormRowBackward(const NormRow<P>& row, const NormParameters<P>& norm, P* d_weight, P* d_bias,
                                   const Vector&, const Store& store) {
  const P mean = row.statistics[0], inverse = row.statistics[1];
  Vector sum = {}, product = {};
  for (int64_t i = 0; i < row.width; i += kLanes) {
    const int64_t count = std::min(kLanes, row.width - i);
    Vector x, d, weight;
    LoadRow(row.x + i, x);
    LoadRow(row.d_out + i, d);
    LoadSome(norm.weight + i, count, weight);
    d *= weight;
    sum += d;
    product += d * ((x - mean) * inverse);
  }
  const P mean_d = norm.rms ? P{0} : AddLanes(sum) / static_cast<P>(row.width);
  const P mean_product = AddLanes(product) / static_cast<P>(row.width);
  for (int64_t i = 0; i < row.width; i += kLanes) {
    const int64_t count = std::min(kLanes, row.width - i);
    Vector x, d, weight;
    LoadRow(row.x + i, x);
    LoadRow(row.d_out + i, d);
    LoadSome(norm.weight + i, count, weight);
    const Vector normed = (x - mean) * inverse;
    if (d_weight != nullptr) AddSome(Vector(d * normed), count, d_weight + i);
    if (d_bias != nullptr) AddSome(d, count, d_bias + i);
    store(i, count, Vector(inverse * (d * weight - mean_d - normed * mean_product)));
  }
}

}  // namespace muster::cpu
