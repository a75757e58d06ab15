// Operations over rows by index, over columns, and over sequences.
#include <array>
#include <cmath>
#include <limits>

#include "worker/rank/model/cpu_encoder_ops.h"
#include "worker/rank/model/cpu_rows.h"

namespace muster::cpu {
namespace {

template <typename E>
MUSTER_VECTOR_CLONES void SumColumns(const E* rows, int64_t width, int64_t begin, int64_t end, ParameterOf<E>* sums) {
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t i = 0; i < width; i += kLanes) {
      typename Of<E>::Vector x;
      LoadSome(rows + r * width + i, std::min(kLanes, width - i), x);
      AddSome(x, std::min(kLanes, width - i), sums + i);
    }
  }
}

// Each thread adds some of the columns of all rows, in order: no thread waits for another, and no number is written by two.
template <typename P>
MUSTER_VECTOR_CLONES void AddColumnsToRows(const P* rows, const int64_t* indices, int64_t count, int64_t width,
                                           int64_t begin, int64_t end, P* table) {
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t i = begin; i < end; i += kLanes) {
      typename Of<P>::Vector x;
      LoadSome(rows + t * width + i, std::min(kLanes, end - i), x);
      AddSome(x, std::min(kLanes, end - i), table + indices[t] * width + i);
    }
  }
}

// The rows of a sequence that pooling reads, and the weight of each.
struct Pooled {
  Pooled(PoolingMode pooling, const SequencePlan& plan, int64_t sequence)
      : mode(pooling), first(plan.first_rows[sequence]) {
    const int64_t length = plan.lengths[sequence], left_out = plan.unpooled.empty() ? 0 : plan.unpooled[sequence];
    begin = std::min(left_out, length);
    end = length;
    if (begin == end) return;
    const auto count = static_cast<double>(end - begin);
    if (mode == PoolingMode::kCls) end = begin + 1;
    if (mode == PoolingMode::kLast) begin = end - 1;
    if (mode == PoolingMode::kMean) scale = 1 / count;
    if (mode == PoolingMode::kMeanSqrtLength) scale = 1 / std::sqrt(count);
    if (mode == PoolingMode::kWeightedMean) {
      // 1-based places begin + 1 to end, whose sum is exact in float64.
      scale = 1 / (count * static_cast<double>(begin + 1 + end) / 2);
    }
  }
  double Weight(int64_t place) const {
    return mode == PoolingMode::kWeightedMean ? static_cast<double>(place + 1) * scale : scale;
  }
  PoolingMode mode;
  int64_t first;               // row of the batch
  int64_t begin = 0, end = 0;  // places within the sequence; equal: nothing is left
  double scale = 1;
};

template <typename E>
MUSTER_VECTOR_CLONES void PoolSum(const E* hidden, int64_t width, const Pooled& pooled, ParameterOf<E>* out) {
  using P = ParameterOf<E>;
  using Vector = typename Of<E>::Vector;
  std::fill_n(out, width, P{0});
  for (int64_t place = pooled.begin; place < pooled.end; ++place) {
    const P weight = static_cast<P>(pooled.Weight(place));
    for (int64_t i = 0; i < width; i += kLanes) {
      Vector x;
      LoadSome(hidden + (pooled.first + place) * width + i, std::min(kLanes, width - i), x);
      AddSome(Vector(x * weight), std::min(kLanes, width - i), out + i);
    }
  }
}

template <typename E>
void PoolMax(const E* hidden, int64_t width, const Pooled& pooled, int32_t* places, ParameterOf<E>* out) {
  using P = ParameterOf<E>;
  if (pooled.begin == pooled.end) {
    std::fill_n(out, width, P{0});
    std::fill_n(places, width, -1);
    return;
  }
  for (int64_t i = 0; i < width; ++i) {
    int64_t best = pooled.first + pooled.begin;
    for (int64_t row = best + 1; row < pooled.first + pooled.end; ++row) {
      const P x = static_cast<P>(hidden[row * width + i]), largest = static_cast<P>(hidden[best * width + i]);
      if (x > largest || std::isnan(x)) best = row;
      if (std::isnan(x)) break;
    }
    places[i] = static_cast<int32_t>(best);
    out[i] = static_cast<P>(hidden[best * width + i]);
  }
}

template <typename E>
MUSTER_VECTOR_CLONES void PoolSumBackward(const ParameterOf<E>* d_out, int64_t width, int64_t length,
                                          const Pooled& pooled, E* d_hidden) {
  using P = ParameterOf<E>;
  using Vector = typename Of<E>::Vector;
  for (int64_t place = 0; place < length; ++place) {
    const bool inside = place >= pooled.begin && place < pooled.end;
    const P weight = inside ? static_cast<P>(pooled.Weight(place)) : P{0};
    for (int64_t i = 0; i < width; i += kLanes) {
      Vector d;
      LoadSome(d_out + i, std::min(kLanes, width - i), d);
      d = inside ? Vector(d * weight) : Vector{};
      StoreSome(d, std::min(kLanes, width - i), d_hidden + (pooled.first + place) * width + i);
    }
  }
}

// Threads take whole sequences, so a sum belongs to one thread.
template <typename Operation>
void ForSequences(const SequencePlan& plan, int64_t width, const Operation& operation) {
  const auto sequences = static_cast<int64_t>(plan.lengths.size());
  const int64_t grain = std::max<int64_t>(1, 16384 * sequences / std::max<int64_t>(1, plan.rows * width));
  at::parallel_for(0, sequences, grain, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) operation(s);
  });
}

}  // namespace

void AddToRows(const at::Tensor& rows, const at::Tensor& indices, at::Tensor& table) {
  const int64_t width = table.size(1), count = indices.numel();
  WithElementType(table, "rows", [&](auto zero) {
    using P = ParameterOf<decltype(zero)>;
    // Each thread writes whole cache lines.
    constexpr int64_t kColumns = 64;
    const int64_t parts = (width + kColumns - 1) / kColumns;
    const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, count * kColumns));
    at::parallel_for(0, parts, grain, [&](int64_t begin, int64_t end) {
      AddColumnsToRows(rows.const_data_ptr<P>(), indices.const_data_ptr<int64_t>(), count, width, begin * kColumns,
                       std::min(width, end * kColumns), table.mutable_data_ptr<P>());
    });
  });
}

void AddColumnSums(const at::Tensor& rows, std::span<at::Tensor> sums) {
  const int64_t count = rows.size(0), width = rows.size(1);
  WithElementType(rows, "rows", [&](auto zero) {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    BlockSums<P> of_blocks(count, 1, width, rows.options().dtype(c10::CppTypeToScalarType<P>::value));
    ForBlocks(count, width, [&](int64_t block, int64_t begin, int64_t end) {
      SumColumns(rows.const_data_ptr<E>(), width, begin, end, of_blocks.OfBlock(block));
    });
    int64_t first = 0;
    for (const at::Tensor& sum : sums) {
      of_blocks.AddTo(0, sum, first);
      first += sum.numel();
    }
  });
}

void Pool(const at::Tensor& hidden, PoolingMode mode, const SequencePlan& plan, at::Tensor& places, at::Tensor& out) {
  const int64_t width = hidden.size(1);
  WithElementType(hidden, "rows", [&](auto zero) {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    const E* from = hidden.const_data_ptr<E>();
    P* to = out.mutable_data_ptr<P>();
    int32_t* rows = MutableDataOf<int32_t>(places);
    ForSequences(plan, width, [&](int64_t s) {
      const Pooled pooled(mode, plan, s);
      if (mode == PoolingMode::kMax) {
        PoolMax(from, width, pooled, rows + s * width, to + s * width);
      } else {
        PoolSum(from, width, pooled, to + s * width);
      }
    });
  });
}

void PoolBackward(const at::Tensor& d_out, PoolingMode mode, const SequencePlan& plan, const at::Tensor& places,
                  at::Tensor& d_hidden) {
  const int64_t width = d_hidden.size(1);
  WithElementType(d_hidden, "rows", [&](auto zero) {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    const P* from = d_out.const_data_ptr<P>();
    const int32_t* rows = DataOf<int32_t>(places);
    E* to = d_hidden.mutable_data_ptr<E>();
    ForSequences(plan, width, [&](int64_t s) {
      const Pooled pooled(mode, plan, s);
      if (mode != PoolingMode::kMax) {
        PoolSumBackward(from + s * width, width, plan.lengths[s], pooled, to);
        return;
      }
      std::fill_n(to + pooled.first * width, plan.lengths[s] * width, E{0});
      for (int64_t i = 0; i < width; ++i) {
        const int64_t row = rows[s * width + i];
        if (row >= 0) to[row * width + i] = static_cast<E>(from[s * width + i]);
      }
    });
  });
}

}  // namespace muster::cpu
