// How an objective distributes the gradient over positives: the gradient analysis of arXiv 2602.12727, measured.
//
// The weight of a positive p of a query is |d loss / d s_p|. Sums over rows of any split of a batch add up to those of the
// whole batch, except for rounding.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace muster {

inline constexpr size_t kRankedPositives = 8;

struct PositiveWeights {
  // Over rows that have two positives or more, and a gradient: the share of the row's weight that its positive with the
  // highest similarity has, the one with the second highest, and so on.
  std::array<double, kRankedPositives> share_sums = {};
  int64_t rows = 0;            // that these sums count
  int64_t most_positives = 0;  // of such a row
  // Over all rows, each times its row's weight in the loss: of the positives that data.noise put there, and of all.
  double of_noise = 0, of_all = 0;

  // A row. Of equal similarities the first positive counts as the higher one. `gradient`: d loss / d s_p, one per similarity.
  // `is_noise`: one per similarity; empty: none is.
  void AddRow(std::span<const double> similarities, std::span<const double> gradient, std::span<const uint8_t> is_noise,
              double row_weight);
  void Add(const PositiveWeights& other);

  // The mean shares: one per positive of the row that has most, at most kRankedPositives. A row with fewer positives counts as
  // 0 for the others, so the shares add up to 1 if no row has more. Empty: no row counts.
  std::vector<double> MeanShares() const;
  double NoiseShare() const { return of_all > 0 ? of_noise / of_all : 0; }
};

}  // namespace muster
