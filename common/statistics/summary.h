// Mean, spread, and intervals for few values that are nearly normal, such as one value per seed.
// All functions are pure and thread-safe. Values must be finite.
#pragma once

#include "absl/types/span.h"

namespace muster {

struct Interval {
  double low = 0, high = 0;
};

// 0 for no values.
double Mean(absl::Span<const double> values);

// The sample's: divides the sum of squares by count - 1. 0 for fewer than two values.
double StandardDeviation(absl::Span<const double> values);

// Student's interval for the mean of the distribution that the values were drawn from. `level`: 0.95, for instance.
// Exact for normal values of any number from two on; below two values both ends are the mean. Queries' metrics are
// skewed: use BootstrapIntervals for them.
Interval StudentInterval(absl::Span<const double> values, double level = 0.95);

}  // namespace muster
