// Dot products of given pairs of rows. In float64, because the loss subtracts nearly equal numbers from them. No torch header.
#pragma once

#include <cstdint>

#include "worker/rank/cuda/row_types.h"

namespace muster::cuda {

// dots[i] = queries[rows[i]] . passages[columns[i]], for i < count; queries and passages: E [.., width].
int PairDots(Element element, const void* queries, const void* passages, const int64_t* rows, const int64_t* columns,
             int64_t count, int64_t width, double* dots, void* stream);

// For each row E [count, width]: its squared length, and its product with direction [width].
int MeasureRows(Element element, const void* rows, int64_t count, int64_t width, const double* direction,
                double* squares, double* along, void* stream);

}  // namespace muster::cuda
