#include "worker/rank/loss/row.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace muster {
namespace {

using muster::v1::Objective;

double Logistic(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

double LogSumExp(std::span<const double> values) {
  const double top = *std::max_element(values.begin(), values.end());
  if (top == kMinusInfinity) return top;
  double sum = 0;
  for (const double value : values) sum += std::exp(value - top);
  return top + std::log(sum);
}

// log(g_p / mean g); all 0 where grades are equal or absent.
std::vector<double> LogRelativeGrades(std::span<const double> weights, size_t count) {
  std::vector<double> logs(count, 0.0);
  if (weights.empty()) return logs;
  const double mean = std::accumulate(weights.begin(), weights.end(), 0.0) / count;
  for (size_t p = 0; p < count; ++p) logs[p] = std::log(weights[p] / mean);
  return logs;
}

// Each positive against the negatives alone.
RowGradient MeanOfSingles(std::span<const double> s, std::span<const double> weights, double a, std::span<double> ds) {
  RowGradient row;
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t p = 0; p < s.size(); ++p) {
    const double share = weights.empty() ? 1.0 / s.size() : weights[p] / total;
    const double c = share * Logistic(a - s[p]);
    row.loss += share * Softplus(a - s[p]);
    row.push += c;
    ds[p] = -c;
  }
  return row;
}

RowGradient JointLh(std::span<const double> s, std::span<const double> weights, double a, double scale,
                    std::span<double> ds) {
  const double positive_lse = LogSumExp(s);
  const double top = std::max(a, positive_lse);
  const double z = top + Softplus(std::min(a, positive_lse) - top);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  RowGradient row{.loss = scale * z, .push = scale * Logistic(a - positive_lse)};
  for (size_t p = 0; p < s.size(); ++p) {
    const double share = weights.empty() ? 1.0 / s.size() : weights[p] / total;
    row.loss -= scale * share * s[p];
    ds[p] = scale * (std::exp(s[p] - z) - share);
  }
  return row;
}

// softplus(A + sign * logsumexp(sign * -s_p + log(g_p / mean g))): sign -1 is summarglh, +1 is lsepair.
RowGradient Soft(std::span<const double> s, std::span<const double> weights, double a, double sign,
                 std::span<double> ds) {
  std::vector<double> terms = LogRelativeGrades(weights, s.size());
  for (size_t p = 0; p < s.size(); ++p) terms[p] -= sign * s[p];
  const double lse = LogSumExp(terms);
  const double margin = a + sign * lse;
  const RowGradient row{.loss = Softplus(margin), .push = Logistic(margin)};
  for (size_t p = 0; p < s.size(); ++p) ds[p] = -row.push * std::exp(terms[p] - lse);
  return row;
}

}  // namespace

RowGradient EvaluateRow(Objective objective, std::span<const double> positives, std::span<const double> weights,
                        double negative_lse, std::span<double> d_positives) {
  switch (objective) {
    case Objective::OBJECTIVE_RAND1LH:
      return MeanOfSingles(positives, {}, negative_lse, d_positives);
    case Objective::OBJECTIVE_MEAN1LH:
      return MeanOfSingles(positives, weights, negative_lse, d_positives);
    case Objective::OBJECTIVE_UNSPECIFIED:
    case Objective::OBJECTIVE_JOINTLH:
      return JointLh(positives, weights, negative_lse, 1, d_positives);
    case Objective::OBJECTIVE_JOINTLH_SUM:
      return JointLh(positives, weights, negative_lse, positives.size(), d_positives);
    case Objective::OBJECTIVE_SUMMARGLH:
      return Soft(positives, weights, negative_lse, -1, d_positives);
    case Objective::OBJECTIVE_LSEPAIR:
      return Soft(positives, weights, negative_lse, 1, d_positives);
    case Objective::Objective_INT_MIN_SENTINEL_DO_NOT_USE_:
    case Objective::Objective_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return {};
}

}  // namespace muster
