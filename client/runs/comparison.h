// Evaluates the values of runs: means, intervals, tests, and a sentence. Pure; prints nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/statistics/paired.h"
#include "common/statistics/summary.h"

namespace muster {

inline constexpr double kConfidence = 0.95;  // level of every interval; tests call differences at 1 - kConfidence
inline constexpr double kPower = 0.8;

struct MeanOfRun {
  double mean = 0;
  Interval interval;
};

struct MetricComparison {
  std::string metric;
  MeanOfRun a, b, difference;  // difference: B - A
  RandomizationTest test;
  PairedTTest t;
  double p_holm = 1;       // test.p, corrected for the number of comparisons
  double effect_size = 0;  // mean difference in standard deviations of the differences; may be infinite
  Wins wins;               // of B
  // The smallest difference that this many queries would show with kPower, at the level corrected for the number of
  // comparisons; and how many queries would show the difference that was found; nothing if it is 0, or too many would be
  // needed.
  double detectable = 0;
  std::optional<int64_t> queries_needed;
  std::string verdict;  // one sentence
};

// One value per query: [metric][query], at least two queries. `seed` drives the random resamples and signs: equal
// seeds give equal results.
using RunValues = std::vector<std::vector<double>>;
std::vector<MeanOfRun> MeansOf(const RunValues& values, uint64_t seed);
std::vector<MetricComparison> CompareRuns(const std::vector<std::string>& metrics, const RunValues& a, const RunValues& b,
                                          uint64_t seed);

// The same for each run after the first and the first one, which is A: [run - 1][metric]. All runs have the same queries. The
// more comparisons a reader sees, the more differ by chance, so the correction covers all metrics of all of them.
std::vector<std::vector<MetricComparison>> CompareWithFirst(const std::vector<std::string>& metrics,
                                                            absl::Span<const RunValues> runs, uint64_t seed);

// A, B, …, Z: the run's letter in tables and verdicts. At most kMostRuns runs have one.
inline constexpr size_t kMostRuns = 26;
std::string RunLetter(size_t run);

}  // namespace muster
