// Sums of rows, dropout and norms in one pass each over a row, which stays in the nearest cache.
#include <vector>

#include "worker/rank/model/cpu_encoder_ops.h"
#include "worker/rank/model/cpu_norm_rows.h"
#include "worker/rank/model/cpu_rows.h"

namespace muster::cpu {
namespace {

// ---- word + position + type

template <typename P>
struct Tables {
  explicit Tables(const EmbeddingTables& tables)
      : words(DataOf<P>(tables.words)),
        places(DataOf<P>(tables.position_table)),
        type(DataOf<P>(tables.type_row)),
        tokens(DataOf<int64_t>(tables.tokens)),
        positions(DataOf<int64_t>(tables.positions)),
        width(tables.words.size(1)) {}
  const P *words, *places, *type;
  const int64_t *tokens, *positions;
  const int64_t width;

  // The padded row of a token, and its sum in lanes.
  template <typename Vector>
  MUSTER_INLINE void Gather(int64_t row, P* to, Vector& sum) const {
    sum = Vector{};
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t count = std::min(kLanes, width - i);
      Vector x, other{};
      LoadSome(words + tokens[row] * width + i, count, x);
      if (places != nullptr) LoadSome(places + positions[row] * width + i, count, other);
      if (type != nullptr) {
        Vector of_type;
        LoadSome(type + i, count, of_type);
        other += of_type;
      }
      x += other;
      StoreRow(x, to + i);
      sum += x;
    }
  }
};

template <typename E>
struct EmbedJob {
  using P = ParameterOf<E>;
  Tables<P> tables;
  NormParameters<P> norm;
  const RowMask& mask;
  const SequencePlan& plan;
  P* statistics;
  E* out;
};

template <typename E>
MUSTER_VECTOR_CLONES void EmbedRows(const EmbedJob<E>& job, int64_t begin, int64_t end) {
  using P = ParameterOf<E>;
  const int64_t width = job.tables.width;
  RowMasks masks(job.mask, job.plan, width);
  std::vector<P> row(PaddedWidth(width));
  for (int64_t r = begin; r < end; ++r) {
    typename Of<E>::Vector sum;
    job.tables.Gather(r, row.data(), sum);
    const uint16_t* decisions = masks.Draw(r);
    E* out = job.out + r * width;
    if (job.norm.weight != nullptr) {
      RowStatistics(row.data(), width, job.norm, sum, job.statistics + 2 * r);
      StoreNormed(row.data(), width, job.norm, job.statistics + 2 * r, decisions, masks.threshold(),
                  static_cast<P>(masks.scale()), out);
      continue;
    }
    for (int64_t i = 0; i < width; i += kLanes) {
      typename Of<E>::Vector x;
      LoadRow(row.data() + i, x);
      if (decisions != nullptr) Drop(decisions + i, masks.threshold(), static_cast<P>(masks.scale()), x);
      StoreSome(x, std::min(kLanes, width - i), out + i);
    }
  }
}

template <typename E>
struct EmbedBackwardJob {
  using P = ParameterOf<E>;
  Tables<P> tables;
  NormParameters<P> norm;
  const RowMask& mask;
  const SequencePlan& plan;
  const P* statistics;
  const E* d_out;
  P* d_sum;
};

// sums: of the norm's weight and bias, and of the type's row.
template <typename E>
MUSTER_VECTOR_CLONES void EmbedRowsBackward(const EmbedBackwardJob<E>& job, int64_t begin, int64_t end,
                                            ParameterOf<E>* sums) {
  using P = ParameterOf<E>;
  using Vector = typename Of<E>::Vector;
  const int64_t width = job.tables.width;
  RowMasks masks(job.mask, job.plan, width);
  std::vector<P> row(PaddedWidth(width)), gradient(PaddedWidth(width));
  for (int64_t r = begin; r < end; ++r) {
    const uint16_t* decisions = masks.Draw(r);
    for (int64_t i = 0; i < width; i += kLanes) {
      Vector d;
      LoadSome(job.d_out + r * width + i, std::min(kLanes, width - i), d);
      if (decisions != nullptr) Drop(decisions + i, masks.threshold(), static_cast<P>(masks.scale()), d);
      StoreRow(d, gradient.data() + i);
    }
    const auto store = [&](int64_t i, int64_t count, const Vector& d) __attribute__((always_inline)) {
      AddSome(d, count, sums + 2 * width + i);
      StoreSome(d, count, job.d_sum + r * width + i);
    };
    if (job.norm.weight != nullptr) {
      Vector unused;
      job.tables.Gather(r, row.data(), unused);
      NormRowBackward(NormRow<P>{row.data(), gradient.data(), width, job.statistics + 2 * r}, job.norm, sums,
                      sums + width, unused, store);
      continue;
    }
    for (int64_t i = 0; i < width; i += kLanes) {
      Vector d;
      LoadRow(gradient.data() + i, d);
      store(i, std::min(kLanes, width - i), d);
    }
  }
}

// ---- residual + dropout(product + bias), and its norm

template <typename E>
struct AddJob {
  using P = ParameterOf<E>;
  const E* product;
  const P* bias;
  const E* residual;
  NormParameters<P> norm;
  const RowMask& mask;
  const SequencePlan& plan;
  int64_t width;
  E* sum;  // null: `product` is the sum already
  P* statistics;
  E* out;
};

template <typename E>
MUSTER_VECTOR_CLONES void AddRows(const AddJob<E>& job, int64_t begin, int64_t end) {
  using P = ParameterOf<E>;
  using Vector = typename Of<E>::Vector;
  const int64_t width = job.width;
  RowMasks masks(job.mask, job.plan, width);
  std::vector<P> row(PaddedWidth(width));
  for (int64_t r = begin; r < end; ++r) {
    const uint16_t* decisions = masks.Draw(r);
    Vector sum = {};
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t count = std::min(kLanes, width - i), place = r * width + i;
      Vector x, other;
      LoadSome(job.product + place, count, x);
      if (job.bias != nullptr) {
        LoadSome(job.bias + i, count, other);
        x += other;
      }
      if (decisions != nullptr) Drop(decisions + i, masks.threshold(), static_cast<P>(masks.scale()), x);
      if (job.residual != nullptr) {
        LoadSome(job.residual + place, count, other);
        x += other;
      }
      if (job.sum != nullptr) {
        StoreSome(x, count, job.sum + place);
        if constexpr (!std::is_same_v<E, P>) LoadSome(job.sum + place, count, x);
      }
      if (count < kLanes) {
        for (int64_t lane = count; lane < kLanes; ++lane) x[lane] = 0;
      }
      StoreRow(x, row.data() + i);
      sum += x;
    }
    RowStatistics(row.data(), width, job.norm, sum, job.statistics + 2 * r);
    StoreNormed(row.data(), width, job.norm, job.statistics + 2 * r, nullptr, 0, P{0}, job.out + r * width);
  }
}

template <typename E>
struct AddBackwardJob {
  using P = ParameterOf<E>;
  const E* d_out;
  const E* d_sum_before;
  const E* sum;
  const P* statistics;
  NormParameters<P> norm;
  const RowMask& mask;
  const SequencePlan& plan;
  int64_t width;
  E* d_sum;
  E* d_product;
  E* out;
};

// sums: the column sums that are the gradients of the norm's weight, the norm's bias and the product's bias.
template <typename E>
MUSTER_VECTOR_CLONES void AddRowsBackward(const AddBackwardJob<E>& job, int64_t begin, int64_t end,
                                          ParameterOf<E>* sums) {
  using P = ParameterOf<E>;
  using Vector = typename Of<E>::Vector;
  const int64_t width = job.width;
  RowMasks masks(job.mask, job.plan, width);
  std::vector<P> row(PaddedWidth(width)), gradient(PaddedWidth(width));
  for (int64_t r = begin; r < end; ++r) {
    const uint16_t* decisions = masks.Draw(r);
    const auto store = [&](int64_t i, int64_t count, const Vector& own) __attribute__((always_inline)) {
      const int64_t place = r * width + i;
      Vector d = own;
      if (job.d_sum_before != nullptr) {
        Vector before;
        LoadSome(job.d_sum_before + place, count, before);
        d += before;
      }
      StoreSome(d, count, job.d_sum + place);
      if constexpr (!std::is_same_v<E, P>) LoadSome(job.d_sum + place, count, d);
      if (decisions != nullptr) Drop(decisions + i, masks.threshold(), static_cast<P>(masks.scale()), d);
      AddSome(d, count, sums + 2 * width + i);
      if (job.d_product != nullptr) StoreSome(d, count, job.d_product + place);
    };
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t count = std::min(kLanes, width - i);
      Vector x, d;
      LoadSome(job.sum + r * width + i, count, x);
      LoadSome(job.d_out + r * width + i, count, d);
      StoreRow(x, row.data() + i);
      StoreRow(d, gradient.data() + i);
    }
    const P* statistics = job.statistics + 2 * r;
    if (job.out != nullptr) {
      StoreNormed(row.data(), width, job.norm, statistics, nullptr, 0, P{0}, job.out + r * width);
    }
    NormRowBackward(NormRow<P>{row.data(), gradient.data(), width, statistics}, job.norm, sums, sums + width, Vector{},
                    store);
  }
}

void AddNormGradients(const NormGradients& gradients, const auto& sums) {
  sums.AddTo(0, gradients.weight);
  sums.AddTo(1, gradients.bias);
  sums.AddTo(2, gradients.product_bias);
}

}  // namespace

void EmbedNorm(const EmbeddingTables& tables, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
               at::Tensor& statistics, at::Tensor& out) {
  WithElementType(out, "rows", [&](auto zero) {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    const EmbedJob<E> job{Tables<P>(tables),        NormParameters<P>(norm), mask, plan, MutableDataOf<P>(statistics),
                          out.mutable_data_ptr<E>()};
    ForBlocks(out.size(0), out.size(1), [&](int64_t, int64_t begin, int64_t end) { EmbedRows(job, begin, end); });
  });
}

void EmbedNormBackward(const at::Tensor& d_out, const EmbeddingTables& tables, const Norm& norm, const RowMask& mask,
                       const SequencePlan& plan, const at::Tensor& statistics, at::Tensor& d_sum,
                       const NormGradients& gradients) {
  const int64_t rows = d_out.size(0), width = d_out.size(1);
  WithElementType(d_out, "rows", [&](auto zero) {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    const EmbedBackwardJob<E> job{
        Tables<P>(tables),         NormParameters<P>(norm),    mask, plan, DataOf<P>(statistics),
        d_out.const_data_ptr<E>(), d_sum.mutable_data_ptr<P>()};
    BlockSums<P> sums(rows, 3, width, d_sum.options());
    ForBlocks(rows, width, [&](int64_t block, int64_t begin, int64_t end) {
      EmbedRowsBackward(job, begin, end, sums.OfBlock(block));
    });
    AddNormGradients(gradients, sums);
  });
}

void AddNorm(const at::Tensor& product, const at::Tensor& bias, const at::Tensor& residual, const Norm& norm,
             const RowMask& mask, const SequencePlan& plan, at::Tensor& sum, at::Tensor& statistics, at::Tensor& out) {
  const int64_t rows = product.size(0), width = product.size(1);
  WithElementType(product, "rows", [&](auto zero) {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    const bool changes = bias.defined() || residual.defined() || mask.active() || !sum.is_same(product);
    const AddJob<E> job{product.const_data_ptr<E>(),
                        DataOf<P>(bias),
                        DataOf<E>(residual),
                        NormParameters<P>(norm),
                        mask,
                        plan,
                        width,
                        changes ? sum.mutable_data_ptr<E>() : nullptr,
                        statistics.mutable_data_ptr<P>(),
                        out.mutable_data_ptr<E>()};
    ForBlocks(rows, width, [&](int64_t, int64_t begin, int64_t end) { AddRows(job, begin, end); });
  });
}

void AddNormBackward(const at::Tensor& d_out, const at::Tensor& d_sum_before, const at::Tensor& sum,
                     const at::Tensor& statistics, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
                     at::Tensor& d_sum, at::Tensor& d_product, const NormGradients& gradients, at::Tensor& out) {
  const int64_t rows = d_out.size(0), width = d_out.size(1);
  WithElementType(d_out, "rows", [&](auto zero) {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    const AddBackwardJob<E> job{d_out.const_data_ptr<E>(),
                                DataOf<E>(d_sum_before),
                                sum.const_data_ptr<E>(),
                                statistics.const_data_ptr<P>(),
                                NormParameters<P>(norm),
                                mask,
                                plan,
                                width,
                                d_sum.mutable_data_ptr<E>(),
                                MutableDataOf<E>(d_product),
                                MutableDataOf<E>(out)};
    BlockSums<P> sums(rows, 3, width, d_out.options().dtype(c10::CppTypeToScalarType<P>::value));
    ForBlocks(rows, width, [&](int64_t block, int64_t begin, int64_t end) {
      AddRowsBackward(job, begin, end, sums.OfBlock(block));
    });
    AddNormGradients(gradients, sums);
  });
}

}  // namespace muster::cpu
