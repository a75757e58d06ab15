// Which columns each row names, and where they are in the tiles of the score matrix.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace muster {

// The columns of row r are columns[offsets[r]] .. columns[offsets[r + 1] - 1].
struct RowEdges {
  std::vector<int64_t> offsets = {0};  // rows + 1
  std::vector<int64_t> columns;
  int64_t rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t begin(int64_t row) const { return offsets[row]; }
  int64_t end(int64_t row) const { return offsets[row + 1]; }
};

// How a matrix is cut into tiles, which are numbered row by row. The last tiles of a row or column may be smaller.
struct Tiling {
  int64_t height = 0, width = 0;            // of the matrix
  int64_t tile_rows = 1, tile_columns = 1;  // of a tile, >= 1
  int64_t across() const { return (width + tile_columns - 1) / tile_columns; }
  int64_t count() const { return (height + tile_rows - 1) / tile_rows * across(); }
  int64_t first_row(int64_t tile) const { return tile / across() * tile_rows; }
  int64_t first_column(int64_t tile) const { return tile % across() * tile_columns; }
  int64_t rows(int64_t tile) const { return std::min(tile_rows, height - first_row(tile)); }
  int64_t columns(int64_t tile) const { return std::min(tile_columns, width - first_column(tile)); }
};

// The edges of rows [first, first + tiling.height), by tile. All their indices are copied to the device in one transfer.
class TileEdges {
 public:
  TileEdges(const RowEdges& positives, const RowEdges& ignored, int64_t first, const Tiling& tiling);

  const std::vector<int64_t>& indices() const { return indices_; }
  int64_t positive_count() const { return static_cast<int64_t>(order_.size()); }

  // The next functions return parts of `on_device`, the copy of indices() on the device. Rows, counted from `first`, and
  // columns of all pairs: positives in the order of RowEdges, then ignored.
  at::Tensor PairRows(const at::Tensor& on_device) const { return on_device.narrow(0, 0, pair_count_); }
  at::Tensor PairColumns(const at::Tensor& on_device) const { return on_device.narrow(0, pair_count_, pair_count_); }
  // Flat positions within a tile of pairs that are not negatives, and of positives. Undefined if there are none.
  at::Tensor Excluded(const at::Tensor& on_device, int64_t tile) const;
  at::Tensor Positives(const at::Tensor& on_device, int64_t tile) const;

  // `values` belong to the positives, in the order of RowEdges; the result is in the order of tiles.
  std::vector<double> InTileOrder(const std::vector<double>& values) const;
  // The part of `in_tile_order` that belongs to Positives(tile).
  at::Tensor OfTile(const at::Tensor& in_tile_order, int64_t tile) const;

 private:
  int64_t pair_count_;
  std::vector<int64_t> order_;                            // of positives, tile by tile
  std::vector<int64_t> positive_begins_, excluded_begins_;  // of tiles; one more than there are tiles
  std::vector<int64_t> indices_;  // rows and columns of pairs, positions of positives, positions of excluded pairs
};

}  // namespace muster
