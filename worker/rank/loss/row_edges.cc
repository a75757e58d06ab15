#include "worker/rank/loss/row_edges.h"

#include <numeric>
#include <span>

namespace muster {
namespace {

struct Place {
  int64_t tile, position;
};

// Visits the edges of the tiling's rows in their order.
template <typename Visit>
void ForEach(const RowEdges& edges, int64_t first, const Tiling& tiling, const Visit& visit) {
  for (int64_t row = 0; row < tiling.height; ++row) {
    for (int64_t e = edges.begin(first + row); e < edges.end(first + row); ++e) visit(row, edges.columns[e]);
  }
}

Place PlaceOf(int64_t row, int64_t column, const Tiling& tiling) {
  const int64_t tile = row / tiling.tile_rows * tiling.across() + column / tiling.tile_columns;
  return {tile, (row - tiling.first_row(tile)) * tiling.columns(tile) + column - tiling.first_column(tile)};
}

// Turns counts (of tile t at [t + 1]) into offsets (the begin of tile t at [t]).
void BeginsFromCounts(std::vector<int64_t>& counts) { std::partial_sum(counts.begin(), counts.end(), counts.begin()); }

at::Tensor Range(const at::Tensor& all, int64_t offset, const std::vector<int64_t>& begins, int64_t tile) {
  const int64_t count = begins[tile + 1] - begins[tile];
  return count == 0 ? at::Tensor() : all.narrow(0, offset + begins[tile], count);
}

}  // namespace

TileEdges::TileEdges(const RowEdges& positives, const RowEdges& ignored, int64_t first, const Tiling& tiling)
    : positive_begins_(tiling.count() + 1, 0), excluded_begins_(tiling.count() + 1, 0) {
  const int64_t positive_count = positives.begin(first + tiling.height) - positives.begin(first);
  pair_count_ = positive_count + ignored.begin(first + tiling.height) - ignored.begin(first);
  order_.resize(positive_count);
  indices_.resize(3 * pair_count_ + positive_count);
  const std::span rows(indices_.data(), pair_count_), columns(rows.data() + pair_count_, pair_count_);
  const std::span positive_positions(columns.data() + pair_count_, positive_count);
  const std::span excluded_positions(positive_positions.data() + positive_count, pair_count_);

  std::vector<Place> places;
  places.reserve(pair_count_);
  const auto add = [&](int64_t row, int64_t column) {
    rows[places.size()] = row;
    columns[places.size()] = column;
    places.push_back(PlaceOf(row, column, tiling));
  };
  ForEach(positives, first, tiling, add);
  ForEach(ignored, first, tiling, add);

  // A counting sort by tile: edges of a tile keep their order.
  for (int64_t i = 0; i < pair_count_; ++i) {
    if (i < positive_count) ++positive_begins_[places[i].tile + 1];
    ++excluded_begins_[places[i].tile + 1];
  }
  BeginsFromCounts(positive_begins_);
  BeginsFromCounts(excluded_begins_);
  std::vector<int64_t> next_positive = positive_begins_, next_excluded = excluded_begins_;
  for (int64_t i = 0; i < pair_count_; ++i) {
    const auto [tile, position] = places[i];
    if (i < positive_count) {
      order_[next_positive[tile]] = i;
      positive_positions[next_positive[tile]++] = position;
    }
    excluded_positions[next_excluded[tile]++] = position;
  }
}

at::Tensor TileEdges::Positives(const at::Tensor& on_device, int64_t tile) const {
  return Range(on_device, 2 * pair_count_, positive_begins_, tile);
}
at::Tensor TileEdges::Excluded(const at::Tensor& on_device, int64_t tile) const {
  return Range(on_device, 2 * pair_count_ + positive_count(), excluded_begins_, tile);
}
at::Tensor TileEdges::OfTile(const at::Tensor& in_tile_order, int64_t tile) const {
  return Range(in_tile_order, 0, positive_begins_, tile);
}

std::vector<double> TileEdges::InTileOrder(const std::vector<double>& values) const {
  std::vector<double> ordered(order_.size());
  for (size_t i = 0; i < order_.size(); ++i) ordered[i] = values[order_[i]];
  return ordered;
}

}  // namespace muster
