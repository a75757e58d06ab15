#include "worker/rank/loss/row_edges.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>

namespace muster {
namespace {

at::Tensor Upload(const void* data, int64_t size, at::ScalarType from, at::ScalarType to, at::Device device) {
  const at::Tensor view = at::from_blob(const_cast<void*>(data), {size}, at::TensorOptions().dtype(from));
  return view.to(device, to, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor Range(const at::Tensor& all, const std::vector<int64_t>& ends, int64_t tile) {
  const int64_t begin = tile == 0 ? 0 : ends[tile - 1];
  return begin == ends[tile] ? at::Tensor() : all.narrow(0, begin, ends[tile] - begin);
}

}  // namespace

at::Tensor UploadIndices(const int64_t* values, int64_t size, at::Device device) {
  return Upload(values, size, at::kLong, at::kLong, device);
}

at::Tensor UploadNumbers(const std::vector<double>& values, at::ScalarType type, at::Device device) {
  return Upload(values.data(), static_cast<int64_t>(values.size()), at::kDouble, type, device);
}

BlockEdges::BlockEdges(const RowEdges& positives, const RowEdges& ignored, int64_t first, int64_t height,
                       int64_t columns, int64_t tile_columns, at::Device device)
    : device_(device) {
  // Buckets by tile: count, then place. A row's edges keep their order.
  const int64_t tiles = (columns + tile_columns - 1) / tile_columns;
  std::vector<int64_t> positive_next(tiles, 0), all_next(tiles, 0);
  const auto for_each = [&](const RowEdges& edges, const auto& visit) {
    for (int64_t row = 0; row < height; ++row) {
      for (int64_t e = edges.begin(first + row); e < edges.end(first + row); ++e) {
        const int64_t tile = edges.columns[e] / tile_columns, at = tile * tile_columns;
        visit(tile, row * std::min(tile_columns, columns - at) + edges.columns[e] - at, e);
      }
    }
  };
  for_each(positives, [&](int64_t tile, int64_t, int64_t) { ++positive_next[tile], ++all_next[tile]; });
  for_each(ignored, [&](int64_t tile, int64_t, int64_t) { ++all_next[tile]; });
  const auto sums = [tiles](std::vector<int64_t>& counts) {
    std::vector<int64_t> ends(tiles);
    int64_t total = 0;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t begin = total;
      ends[tile] = total += counts[tile];
      counts[tile] = begin;
    }
    return ends;
  };
  positive_ends_ = sums(positive_next);
  all_ends_ = sums(all_next);
  edges_.resize(tiles == 0 ? 0 : positive_ends_.back());
  std::vector<int64_t> positive_at(edges_.size()), all_at(tiles == 0 ? 0 : all_ends_.back());
  for_each(positives, [&](int64_t tile, int64_t at, int64_t e) {
    edges_[positive_next[tile]] = e - positives.begin(first);
    positive_at[positive_next[tile]++] = at;
    all_at[all_next[tile]++] = at;
  });
  for_each(ignored, [&](int64_t tile, int64_t at, int64_t) { all_at[all_next[tile]++] = at; });
  positive_at_ = UploadIndices(positive_at.data(), static_cast<int64_t>(positive_at.size()), device_);
  all_at_ = UploadIndices(all_at.data(), static_cast<int64_t>(all_at.size()), device_);
}

at::Tensor BlockEdges::Excluded(int64_t tile) const { return Range(all_at_, all_ends_, tile); }
at::Tensor BlockEdges::Positives(int64_t tile) const { return Range(positive_at_, positive_ends_, tile); }
at::Tensor BlockEdges::OfTile(const at::Tensor& in_tile_order, int64_t tile) const {
  return Range(in_tile_order, positive_ends_, tile);
}

at::Tensor BlockEdges::InTileOrder(const std::vector<double>& values, at::ScalarType type) const {
  std::vector<double> ordered(edges_.size());
  for (size_t i = 0; i < edges_.size(); ++i) ordered[i] = values[edges_[i]];
  return UploadNumbers(ordered, type, device_);
}

}  // namespace muster
