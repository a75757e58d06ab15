#include "worker/rank/loss/positive_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace muster {

void PositiveWeights::AddRow(std::span<const double> similarities, std::span<const double> gradient,
                             std::span<const uint8_t> is_noise, double row_weight) {
  double total = 0;
  for (size_t p = 0; p < gradient.size(); ++p) {
    const double weight = std::abs(gradient[p]);
    total += weight;
    if (!is_noise.empty() && is_noise[p] != 0) of_noise += row_weight * weight;
  }
  of_all += row_weight * total;
  if (gradient.size() < 2 || total <= 0) return;
  ++rows;
  most_positives = std::max(most_positives, static_cast<int64_t>(gradient.size()));
  std::vector<size_t> order(gradient.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t ranked = std::min(order.size(), kRankedPositives);
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(ranked), order.end(), [&](size_t a, size_t b) {
    return similarities[a] != similarities[b] ? similarities[a] > similarities[b] : a < b;
  });
  for (size_t i = 0; i < ranked; ++i) share_sums[i] += std::abs(gradient[order[i]]) / total;
}

void PositiveWeights::Add(const PositiveWeights& other) {
  for (size_t i = 0; i < kRankedPositives; ++i) share_sums[i] += other.share_sums[i];
  rows += other.rows;
  most_positives = std::max(most_positives, other.most_positives);
  of_noise += other.of_noise;
  of_all += other.of_all;
}

std::vector<double> PositiveWeights::MeanShares() const {
  if (rows == 0) return {};
  const size_t count = std::min(static_cast<size_t>(most_positives), kRankedPositives);
  std::vector<double> means(share_sums.begin(), share_sums.begin() + static_cast<int64_t>(count));
  for (double& mean : means) mean /= static_cast<double>(rows);
  return means;
}

}  // namespace muster
