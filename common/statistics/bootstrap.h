// Confidence intervals for means over queries, whose values are skewed, bounded, and often exactly 0 or 1.
//
// Method: the bias-corrected and accelerated bootstrap (BCa; Efron, "Better bootstrap confidence intervals", JASA 82,
// 1987), whose normal quantiles are replaced by Student's times sqrt(n / (n - 1)) (Hesterberg, "What teachers should know
// about the bootstrap", The American Statistician 69, 2015). The second step removes the narrowness of bootstrap
// intervals for few values: plain BCa covers the mean of 10 normal values in 90% of draws instead of 95%.
// docs/decisions/0100-intervals-and-paired-tests.md compares it with Student's and the studentized bootstrap.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/statistics/summary.h"

namespace muster {

struct BootstrapOptions {
  uint64_t seed = 0;
  int resamples = 10'000;  // at least 100
  double level = 0.95;
};

// One interval per column, for the mean of the distribution that the queries were drawn from. All columns have one value
// per query, at least one, in the same order, and every resample takes the same queries of all columns. The result is a
// function of values and options alone. Time: columns * queries * resamples additions.
//
// A column whose values are all equal gets an interval of no width: resampling sees no spread. With fewer than about
// 30 queries, or fewer than about 5 queries that differ from the others, intervals are too narrow.
std::vector<Interval> BootstrapIntervals(absl::Span<const std::vector<double>> columns, const BootstrapOptions& options);

// The same, for a single column.
Interval BootstrapInterval(const std::vector<double>& values, const BootstrapOptions& options);

}  // namespace muster
