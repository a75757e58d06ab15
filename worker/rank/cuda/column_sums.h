// Sums over the rows of a matrix, in an order that depends on its shape alone: blocks of rows first, then the blocks.
// No torch header.
#pragma once

#include <algorithm>
#include <cstdint>

#include "worker/rank/cuda/row_types.h"

namespace muster::cuda {

// The number of blocks of rows with separate sums: enough to fill a GPU, few enough to be added quickly.
constexpr int64_t kMostPartialRows = 1024;
inline int64_t RowsPerPartial(int64_t rows) {
  return std::max<int64_t>(1, (rows + kMostPartialRows - 1) / kMostPartialRows);
}
inline int64_t PartialRows(int64_t rows) {
  return (rows + RowsPerPartial(rows) - 1) / RowsPerPartial(rows);
}

// Consecutive columns, and where their sums are added: `columns[k]` of them to `to[k]` (P), nowhere if that is null.
struct SumTargets {
  static constexpr int kMost = 3;
  void* to[kMost] = {};
  int64_t columns[kMost] = {};
};

// to[k] += the sums over partial [rows, all columns of the targets], P of `element`. Returns a cudaError_t.
int AddPartialSums(Element element, const void* partial, int64_t rows, const SumTargets& targets, void* stream);

// The same for rows [rows, all columns of the targets] of type E. partial: scratch, P [PartialRows(rows), all columns].
int AddColumnSums(Element element, const void* rows_of, int64_t rows, void* partial, const SumTargets& targets,
                  void* stream);

}  // namespace muster::cuda
