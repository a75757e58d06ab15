#include "common/statistics/power.h"

#include <algorithm>
#include <cmath>

#include "common/statistics/quantiles.h"

namespace muster {
namespace {

constexpr int64_t kMostPairs = 1'000'000'000;
// From here on the t statistic is normal to within rounding, and the series of the noncentral
// distribution gets slow.
constexpr double kManyDegrees = 100'000;

}  // namespace

double PairedPower(int64_t count, double effect, double alpha) {
  if (count < 2) return 0;
  const double degrees = static_cast<double>(count - 1);
  const double shift = std::abs(effect) * std::sqrt(static_cast<double>(count));
  if (degrees > kManyDegrees) {
    const double limit = NormalQuantile(1 - alpha / 2);
    return NormalDistribution(shift - limit) + NormalDistribution(-shift - limit);
  }
  const double limit = StudentQuantile(1 - alpha / 2, degrees);
  return 1 - NoncentralStudentDistribution(limit, degrees, shift) + NoncentralStudentDistribution(-limit, degrees, shift);
}

std::optional<int64_t> PairsNeeded(double difference, double deviation, const PowerOptions& options) {
  if (difference == 0) return std::nullopt;
  if (deviation == 0) return 2;
  const double effect = std::abs(difference) / deviation;
  int64_t enough = 2;
  while (PairedPower(enough, effect, options.alpha) < options.power) {
    enough *= 2;
    if (enough > 2 * kMostPairs) return std::nullopt;
  }
  int64_t few = enough / 2;
  while (enough - few > 1) {
    const int64_t middle = few + (enough - few) / 2;
    (PairedPower(middle, effect, options.alpha) < options.power ? few : enough) = middle;
  }
  return enough > kMostPairs ? std::nullopt : std::optional(enough);
}

double DetectableDifference(int64_t count, double deviation, const PowerOptions& options) {
  double low = 0, high = 1;  // effect sizes
  while (PairedPower(count, high, options.alpha) < options.power && high < 1e6) high *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (PairedPower(count, middle, options.alpha) < options.power ? low : high) = middle;
  }
  return high * deviation;
}

}  // namespace muster
