// Which columns each row names, and where they lie in the tiles of a block of rows.
#pragma once

#include <ATen/core/Tensor.h>

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

// Rows [first, first + height), whose columns are cut into tiles of tile_columns (the last may be narrower). Flat
// positions are row * width + column within a tile.
class BlockEdges {
 public:
  BlockEdges(const RowEdges& positives, const RowEdges& ignored, int64_t first, int64_t height, int64_t columns,
             int64_t tile_columns, at::Device device);

  // Pairs that are no negatives: positives, then ignored. Undefined where the tile has none.
  at::Tensor Excluded(int64_t tile) const;
  at::Tensor Positives(int64_t tile) const;
  // `values`, one an edge of the block's positives; OfTile of the result is beside Positives(tile).
  at::Tensor InTileOrder(const std::vector<double>& values, at::ScalarType type) const;
  at::Tensor OfTile(const at::Tensor& in_tile_order, int64_t tile) const;

 private:
  at::Device device_;
  std::vector<int64_t> edges_;                     // of the block's positives, in the order of tiles
  std::vector<int64_t> positive_ends_, all_ends_;  // a tile
  at::Tensor positive_at_, all_at_;                // flat positions in the order of tiles
};

at::Tensor UploadIndices(const int64_t* values, int64_t size, at::Device device);
at::Tensor UploadNumbers(const std::vector<double>& values, at::ScalarType type, at::Device device);

}  // namespace muster
