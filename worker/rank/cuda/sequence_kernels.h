// Operations over sequences, and over rows by index; see worker/rank/model/encoder_ops.h. No torch header.
#pragma once

#include <cstdint>

#include "worker/rank/cuda/row_types.h"

namespace muster::cuda {

// The modes of worker/rank/model/pooling.h.
enum class PoolKind { kCls, kLast, kMean, kMax, kWeightedMean, kMeanSqrtLength };

struct PoolJob {
  Element element = Element::kFloat;
  PoolKind kind = PoolKind::kMean;
  int64_t sequences = 0, rows = 0, width = 0;
  const int64_t* first_rows = nullptr;  // [sequences + 1]
  const int64_t* unpooled = nullptr;    // [sequences], or null: none
  int32_t* places = nullptr;            // [sequences, width]; only for kMax
};

// out P [sequences, width] from hidden E [rows, width], and back. Each runs on `stream` (a cudaStream_t) and returns a
// cudaError_t.
int Pool(const PoolJob& job, const void* hidden, void* out, void* stream);
int PoolBackward(const PoolJob& job, const void* d_out, void* d_hidden, void* stream);

// table P [.., width]: table[sorted[i]] += rows[order[i]], i ascending. `sorted` ascends, and among equal indices `order`
// ascends: a stable sort of the indices. Rows that share an index are added one after the other, by one block.
int AddToRows(Element element, const void* rows, const int64_t* sorted, const int64_t* order, int64_t count,
              int64_t width, void* table, void* stream);

}  // namespace muster::cuda
