#include "common/statistics/summary.h"

#include <cmath>

#include "common/statistics/quantiles.h"

namespace muster {

double Mean(absl::Span<const double> values) {
  if (values.empty()) return 0;
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double StandardDeviation(absl::Span<const double> values) {
  if (values.size() < 2) return 0;
  // Equal values have no spread, whatever the rounding of their mean.
  bool equal = true;
  for (const double value : values) equal = equal && value == values[0];
  if (equal) return 0;
  const double mean = Mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

Interval StudentInterval(absl::Span<const double> values, double level) {
  const double mean = Mean(values);
  if (values.size() < 2) return {mean, mean};
  const double count = static_cast<double>(values.size());
  const double half = StudentQuantile((1 + level) / 2, count - 1) * StandardDeviation(values) / std::sqrt(count);
  return {mean - half, mean + half};
}

}  // namespace muster
