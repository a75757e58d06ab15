// Sums of rows, dropout and norms in one pass over a row; see worker/rank/model/encoder_ops.h. No torch header.
#pragma once

#include <cstdint>

#include "worker/rank/cuda/column_sums.h"
#include "worker/rank/cuda/row_types.h"

namespace muster::cuda {

// The widest row: a block computes a row, with eight elements per thread. For float64 the limit is half of this.
constexpr int64_t kMostNormWidth = 4096;

enum class NormKind { kNone, kLayerNorm, kRmsNorm };  // kNone: only for embeddings

// E is the type `element`; P is double if E is double, otherwise float. Pointers point to the device, and are not null unless stated.
struct NormJob {
  Element element = Element::kFloat;
  int64_t rows = 0, width = 0;  // width <= kMostNormWidth
  NormKind kind = NormKind::kNone;
  const void* weight = nullptr;  // P [width]; null with kNone
  const void* bias = nullptr;    // P [width] or null
  double epsilon = 0;
  RowsMask mask;
};

// sum = residual + mask * (product + product_bias); out = norm(sum).
struct AddNormJob : NormJob {
  const void* product = nullptr;       // E [rows, width]
  const void* product_bias = nullptr;  // P [width] or null
  const void* residual = nullptr;      // E or null
  void* sum = nullptr;                 // E; null: it is `product`, without bias, residual and mask
  void* statistics = nullptr;          // P [rows, 2] or null
  void* out = nullptr;                 // E
};

// Outputs of column sums: P [width] each, +=, or null.
struct NormSums {
  void* partial = nullptr;  // scratch memory, P [PartialRows(rows), 3 * width]; null if the three pointers below are null
  void *weight = nullptr, *bias = nullptr, *product_bias = nullptr;
};

struct AddNormBackwardJob : NormJob {
  const void* d_out = nullptr;
  const void* d_sum_before = nullptr;  // E or null
  const void* sum = nullptr;           // E
  const void* statistics = nullptr;    // P [rows, 2]
  void* d_sum = nullptr;               // E or null
  void* d_product = nullptr;           // E or null
  void* out = nullptr;                 // E or null: AddNorm's output again
  NormSums sums;
};

// word + (position + type), P, not rounded.
struct EmbeddingJob : NormJob {
  const void* words = nullptr;       // P [vocabulary, width]
  const int64_t* tokens = nullptr;   // [rows]
  const void* places = nullptr;      // P [positions, width] or null
  const int64_t* positions = nullptr;
  const void* type = nullptr;  // P [width] or null
};
struct EmbedNormJob : EmbeddingJob {
  void* statistics = nullptr;  // P [rows, 2] or null
  void* out = nullptr;         // E
};
struct EmbedNormBackwardJob : EmbeddingJob {
  const void* d_out = nullptr;
  const void* statistics = nullptr;
  void* d_sum = nullptr;  // P [rows, width]
  NormSums sums;        // product_bias: of the type's row
};

// Each runs on `stream` (a cudaStream_t) and returns a cudaError_t.
int AddNorm(const AddNormJob& job, void* stream);
int AddNormBackward(const AddNormBackwardJob& job, void* stream);
int EmbedNorm(const EmbedNormJob& job, void* stream);
int EmbedNormBackward(const EmbedNormBackwardJob& job, void* stream);

}  // namespace muster::cuda
