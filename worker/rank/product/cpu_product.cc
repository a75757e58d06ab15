// The inner loop keeps a tile of `out` in registers: kRows rows of kVectors vectors. One row block of `a` at a time
// stays in the first-level cache, kRows * kProductDepth. The part of `b` that is multiplied with it, kWidest wide, stays in the
// second level for all rows that a thread computes. Both are copied there in the order in which they are read.
#include "worker/rank/product/cpu_product.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "worker/rank/model/attention_tiles.h"

namespace muster {
namespace {

// Rows of `b` that are copied at once, which bounds the memory of the copy. A multiple of kProductDepth.
constexpr int64_t kPackedDepth = 8 * kProductDepth;
// The distance between rows of the copy of `a`: not a power of two, so that rows are in different sets of the cache.
constexpr int64_t kCopiedRow = kProductDepth + kLanes;

using Vector = Registers64::Vector;
constexpr int kRows = Registers64::kRows, kVectors = Registers64::kVectors;  // of a tile
constexpr int64_t kPanel = kVectors * kLanes;                                // columns of a tile
// Columns of `b` for which a thread computes all its rows before the next.
constexpr int64_t kWidest = 12 * kPanel;
// Rows of `b` ahead that are loaded into the first-level cache. Panels are contiguous, so reading past the end of one loads the
// first rows of the next.
constexpr int64_t kPrefetched = 16;
constexpr int64_t RowBlocks(int64_t rows) { return (rows + kRows - 1) / kRows; }

enum class Store { kNew, kBiased, kAdded };

// c = sum, bias + sum, or c + sum of a(r, k) * b[k][n], for R rows of a tile. Element (r, k) of `a`:
// a[r * row + k * step].
template <int R, int64_t row, int64_t step, Store store>
MUSTER_INLINE void Tile(int64_t depth, const float* a, const float* b, const float* bias, float* c, int64_t c_row) {
  Vector sum[R][kVectors] = {};
#pragma GCC unroll 1
  for (int64_t k = 0; k < depth; ++k) {
    Vector right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(b + (k + kPrefetched) * kPanel + v * kLanes);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) std::memcpy(&right[v], b + k * kPanel + v * kLanes, sizeof(Vector));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float left = a[r * row + k * step];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] += left * right[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      Vector other;
      if constexpr (store != Store::kNew) {
        std::memcpy(&other, store == Store::kBiased ? bias + v * kLanes : c + r * c_row + v * kLanes, sizeof(Vector));
        sum[r][v] += other;
      }
      std::memcpy(c + r * c_row + v * kLanes, &sum[r][v], sizeof(Vector));
    }
  }
}

// The columns of `b` [first, first + kPanel) of `columns`, at rows [begin, end), row by row; zeros beyond the last column.
MUSTER_INLINE void PackPanel(const Matrix& b, int64_t columns, int64_t first, int64_t begin, int64_t end, float* to) {
  const int64_t count = std::min(kPanel, columns - first);
  const float* from = b.data + begin * b.row + first * b.column;
  int64_t k = 0;
  if (count == kPanel && b.column == 1) {
    for (; k < end - begin; ++k) std::memcpy(to + k * kPanel, from + k * b.row, kPanel * sizeof(float));
  } else if (count == kPanel && b.row == 1) {
    for (; k + kLanes <= end - begin; k += kLanes) {
      for (int64_t n = 0; n < kPanel; n += kLanes) {
        TransposeBlock(from + k + n * b.column, b.column, to + k * kPanel + n, kPanel);
      }
    }
  }
  for (; k < end - begin; ++k) {
    for (int64_t n = 0; n < kPanel; ++n) to[k * kPanel + n] = n < count ? from[k * b.row + n * b.column] : 0;
  }
}

// Rows [first, first + kRows) of `a` at columns [begin, begin + depth). Rows beyond the last are zeros.
template <bool across>
MUSTER_INLINE void CopyRows(const ProductJob& job, int64_t first, int64_t begin, int64_t depth, float* to) {
  const int64_t count = std::min<int64_t>(kRows, job.rows - first);
  const float* from = job.a.data + first * job.a.row + begin * job.a.column;
  if constexpr (across) {
    for (int64_t k = 0; k < depth; ++k) {
      if (count == kRows) {
        std::memcpy(to + k * kRows, from + k * job.a.column, kRows * sizeof(float));
      } else {
        for (int64_t r = 0; r < kRows; ++r) to[k * kRows + r] = r < count ? from[k * job.a.column + r] : 0;
      }
    }
  } else {
    for (int64_t r = 0; r < kRows; ++r) {
      if (r < count) {
        const float* row = from + r * job.a.row;
        int64_t k = 0;
        for (; k + kLanes <= depth; k += kLanes) {
          __builtin_prefetch(row + kRows * job.a.row + k, 0, 2);  // of the next block of rows
          Vector some;
          std::memcpy(&some, row + k, sizeof(Vector));
          std::memcpy(to + r * kCopiedRow + k, &some, sizeof(Vector));
        }
        for (; k < depth; ++k) to[r * kCopiedRow + k] = row[k];
      } else {
        std::fill_n(to + r * kCopiedRow, depth, 0.0f);
      }
    }
  }
}

// A piece of the product: its position and size. `b` points to row `begin` of the panel.
struct Piece {
  int64_t first_row, first_column, begin, depth;
  const float* a;
  const float* b;
};

template <bool across, Store store>
MUSTER_INLINE void StoreTile(const ProductJob& job, const Piece& piece) {
  constexpr int64_t kRow = across ? 1 : kCopiedRow, kStep = across ? kRows : 1;
  const int64_t rows = std::min<int64_t>(kRows, job.rows - piece.first_row),
                columns = std::min(kPanel, job.columns - piece.first_column);
  float* out = job.out + piece.first_row * job.out_row + piece.first_column;
  const float* bias = job.bias == nullptr ? nullptr : job.bias + piece.first_column;
  if (rows == kRows && columns == kPanel) {
    Tile<kRows, kRow, kStep, store>(piece.depth, piece.a, piece.b, bias, out, job.out_row);
    return;
  }
  alignas(64) float tile[kRows * kPanel];
  constexpr int kThird = kRows / 3;
  if (rows <= kThird) {
    Tile<kThird, kRow, kStep, Store::kNew>(piece.depth, piece.a, piece.b, nullptr, tile, kPanel);
  } else if (rows <= 2 * kThird) {
    Tile<2 * kThird, kRow, kStep, Store::kNew>(piece.depth, piece.a, piece.b, nullptr, tile, kPanel);
  } else {
    Tile<kRows, kRow, kStep, Store::kNew>(piece.depth, piece.a, piece.b, nullptr, tile, kPanel);
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < columns; ++n) {
      float& to = out[r * job.out_row + n];
      const float sum = tile[r * kPanel + n];
      to = store == Store::kNew ? sum : sum + (store == Store::kBiased ? bias[n] : to);
    }
  }
}

// State shared by the threads. The product is cut into units of kRows rows and `columns` columns, ordered by column.
struct Shared {
  const ProductJob& job;
  int64_t columns;       // of a unit, a multiple of the panel
  int64_t first, depth;  // of the rows of `b` that are packed
  const float* packed;   // [panel][depth][kPanel]
};

// Rows of units [first_row, last_row) of one column of units.
template <bool across>
MUSTER_INLINE void ComputeRows(const Shared& shared, int64_t first_row, int64_t last_row, int64_t first_column) {
  alignas(64) float a[kRows * kCopiedRow];
  const ProductJob& job = shared.job;
  const int64_t end_column = std::min(job.columns, first_column + shared.columns);
  for (int64_t k = 0; k < shared.depth; k += kProductDepth) {
    Piece piece{.begin = shared.first + k, .depth = std::min(kProductDepth, shared.depth - k), .a = a};
    const Store store = piece.begin > 0 || job.add ? Store::kAdded : job.bias != nullptr ? Store::kBiased : Store::kNew;
    for (piece.first_row = first_row; piece.first_row < last_row; piece.first_row += kRows) {
      CopyRows<across>(job, piece.first_row, piece.begin, piece.depth, a);
      for (piece.first_column = first_column; piece.first_column < end_column; piece.first_column += kPanel) {
        piece.b = shared.packed + piece.first_column * shared.depth + k * kPanel;
        if (store == Store::kAdded) {
          StoreTile<across, Store::kAdded>(job, piece);
        } else if (store == Store::kBiased) {
          StoreTile<across, Store::kBiased>(job, piece);
        } else {
          StoreTile<across, Store::kNew>(job, piece);
        }
      }
    }
  }
}

// Units [begin, end).
MUSTER_INLINE void ComputeUnits(const Shared& shared, int64_t begin, int64_t end) {
  const int64_t column = RowBlocks(shared.job.rows);  // units
  while (begin < end) {
    const int64_t first = begin % column, count = std::min(end - begin, column - first);
    const int64_t first_row = first * kRows, last_row = (first + count) * kRows;
    if (shared.job.a.column == 1) {
      ComputeRows<false>(shared, first_row, last_row, begin / column * shared.columns);
    } else {
      ComputeRows<true>(shared, first_row, last_row, begin / column * shared.columns);
    }
    begin += count;
  }
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
bool HasAvx512() { return __builtin_cpu_supports("x86-64-v4"); }
bool IsAmd() { return __builtin_cpu_is("amd"); }
#define MUSTER_AVX512 __attribute__((target("arch=x86-64-v4")))
#else
bool HasAvx512() { return false; }
bool IsAmd() { return false; }
#define MUSTER_AVX512
#endif

MUSTER_AVX512 void Pack(const Matrix& b, int64_t columns, int64_t first, int64_t begin, int64_t end, float* to) {
  PackPanel(b, columns, first, begin, end, to);
}
MUSTER_AVX512 void Compute(const Shared& shared, int64_t begin, int64_t end) { ComputeUnits(shared, begin, end); }

int64_t PanelsOf(int64_t columns) { return (columns + kPanel - 1) / kPanel; }

// Packs the panels and computes the units, on this thread and others that call Work(). Guided schedule: a thread takes half of
// the remaining units, divided by the number of threads, so that it asks rarely and all threads end together.
class SharedWork {
 public:
  // `packed`: memory for the packed panels; null: they are packed already.
  SharedWork(const Shared& shared, float* packed, int64_t threads)
      : shared_(shared),
        packed_(packed),
        panels_(packed == nullptr ? 0 : PanelsOf(shared.job.columns)),
        units_(RowBlocks(shared.job.rows) * ((shared.job.columns + shared.columns - 1) / shared.columns)),
        sharing_(threads > 1 ? 2 * threads : 1) {}

  void Work() {
    const int64_t end = shared_.first + shared_.depth;
    for (int64_t panel = next_panel_++; panel < panels_; panel = next_panel_++) {
      Pack(shared_.job.b, shared_.job.columns, panel * kPanel, shared_.first, end,
           packed_ + panel * kPanel * shared_.depth);
      done_.fetch_add(1, std::memory_order_release);
    }
    // Another thread still packs its last panel. Spinning takes less time than waking all threads again.
    while (done_.load(std::memory_order_acquire) < panels_) std::this_thread::yield();
    for (int64_t begin = next_unit_.load(); begin < units_;) {
      const int64_t end_unit = std::min(units_, begin + std::max<int64_t>(1, (units_ - begin) / sharing_));
      if (!next_unit_.compare_exchange_weak(begin, end_unit)) continue;
      Compute(shared_, begin, end_unit);
      begin = next_unit_.load();
    }
  }

 private:
  const Shared& shared_;
  float* const packed_;
  const int64_t panels_, units_, sharing_;
  std::atomic<int64_t> next_panel_ = 0, done_ = 0, next_unit_ = 0;
};

// Narrower than kWidest where there would be less than four units for each thread.
int64_t ColumnsOfUnit(const ProductJob& job, int64_t threads) {
  int64_t columns = kWidest;
  while (columns > kPanel && RowBlocks(job.rows) * ((job.columns + columns - 1) / columns) < 4 * threads) {
    columns -= kPanel;
  }
  return columns;
}

}  // namespace

bool CanRunOwnProducts() {
  static const bool can = HasAvx512();
  return can;
}

bool UsesOwnProducts() {
  static const bool uses = HasAvx512() && IsAmd();
  return uses;
}

int64_t PackedRightFactorSize(int64_t depth, int64_t columns) { return PanelsOf(columns) * kPanel * depth; }

void PackRightFactor(const Matrix& b, int64_t depth, int64_t columns, float* to) {
  at::parallel_for(0, PanelsOf(columns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = 0; first < depth; first += kPackedDepth) {
      const int64_t last = std::min(depth, first + kPackedDepth);
      float* part = to + PackedRightFactorSize(first, columns);
      for (int64_t panel = begin; panel < end; ++panel) {
        Pack(b, columns, panel * kPanel, first, last, part + panel * kPanel * (last - first));
      }
    }
  });
}

void OwnProduct(const ProductJob& job) {
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  at::Tensor memory;
  if (job.packed_b == nullptr) {
    memory = at::empty({PackedRightFactorSize(std::min(job.depth, kPackedDepth), job.columns)}, at::kFloat);
  }
  float* copy = memory.defined() ? memory.mutable_data_ptr<float>() : nullptr;
  for (int64_t first = 0; first < job.depth; first += kPackedDepth) {
    const Shared shared{.job = job,
                        .columns = ColumnsOfUnit(job, threads),
                        .first = first,
                        .depth = std::min(kPackedDepth, job.depth - first),
                        .packed = copy != nullptr ? copy : job.packed_b + PackedRightFactorSize(first, job.columns)};
    SharedWork work(shared, copy, threads);
    at::parallel_for(0, threads, 1, [&](int64_t, int64_t) { work.Work(); });
  }
}

}  // namespace muster
