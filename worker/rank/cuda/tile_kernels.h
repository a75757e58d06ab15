// The kernels on a tile of the streaming loss. No torch header, because nvcc compiles files that include it.
#pragma once

#include <cstdint>

namespace muster::cuda {

// scores [rows, columns], dense; excluded: `excluded_count` flat positions, null where that is 0; top, sum, lse, scale:
// [rows]. All on the device of `stream` (a cudaStream_t). T is float or double. Each returns a cudaError_t.

// TileOps::AccumulateLse: top and sum include every score but the excluded ones. The order of additions depends on
// the shape alone. A score that is NaN or +inf makes the row's sum NaN. Overwrites excluded scores.
template <typename T>
int AccumulateLse(T* scores, int64_t rows, int64_t columns, const int64_t* excluded, int64_t excluded_count, T* top,
                  T* sum, void* stream);

// TileOps::Weigh: scores <- scale[row] * exp(scores - lse[row]), 0 at excluded pairs and in rows of scale 0.
template <typename T>
int Weigh(T* scores, int64_t rows, int64_t columns, const int64_t* excluded, int64_t excluded_count, const T* lse,
          const T* scale, void* stream);

// TileOps::Scatter: scores[positions[i]] <- values[i]; positions are distinct.
template <typename T>
int Scatter(T* scores, const int64_t* positions, const T* values, int64_t count, void* stream);

// TileOps::IgnoreAbove: scores above limits[row], and excluded ones, become -inf. counts and sums, double [rows]: the number
// and the sum of scores above the limit, without excluded ones, are added; null: nothing is counted.
template <typename T>
int IgnoreAbove(T* scores, int64_t rows, int64_t columns, const int64_t* excluded, int64_t excluded_count,
                const T* limits, double* counts, double* sums, void* stream);

}  // namespace muster::cuda
