// How likely a paired t test is to find a difference, and how many queries or seeds that takes.
// Computed from the noncentral t distribution (Boost.Math). The randomization test has nearly the same power for the mean.
#pragma once

#include <cstdint>
#include <optional>

namespace muster {

struct PowerOptions {
  double alpha = 0.05;  // two-sided level of the test
  double power = 0.8;   // probability of finding the difference
};

// The probability that the two-sided paired t test of `count` pairs at level `alpha` finds a mean difference of
// `effect` standard deviations of the differences. 0 for fewer than two pairs.
double PairedPower(int64_t count, double effect, double alpha);

// The smallest number of pairs that finds a mean difference with the given power. `deviation` is the standard deviation
// of the differences. Nothing if more than a billion would be needed, as for a difference of 0.
std::optional<int64_t> PairsNeeded(double difference, double deviation, const PowerOptions& options);

// The smallest mean difference that `count` pairs, at least two, find with the given power. It depends only on the spread of
// the differences, not on their mean: the power to find the observed difference would only restate p (Hoenig and Heisey, "The
// abuse of power", The American Statistician 55, 2001).
double DetectableDifference(int64_t count, double deviation, const PowerOptions& options);

}  // namespace muster
