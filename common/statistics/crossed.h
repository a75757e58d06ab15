// Tests whether two methods differ, from one difference per seed and query. Both the seeds and the queries are samples, and
// each query is measured with each seed (crossed). A test over queries alone says nothing about other seeds, and a test over
// seeds alone says nothing about other queries. This test generalizes to both. All functions are pure and thread-safe.
// Differences must be finite.
//
// Model: difference = mean + seed + query + residual, all random (two-way analysis of variance with random effects, without
// replication). The squared standard error of the mean is (MS_seeds + MS_queries - MS_residual) / (seeds * queries), with
// Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). This is the quasi-F ratio of Clark, "The
// language-as-fixed-effect fallacy" (Journal of Verbal Learning and Verbal Behavior 12, 1973). With few seeds it rejects too
// often at small levels, so p is the larger of its p and that of the t test over seeds:
// docs/decisions/0109-seeds-and-queries-are-both-samples.md has measurements.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "common/statistics/power.h"
#include "common/statistics/summary.h"

namespace muster {

// Variances of the parts of a difference, estimated from mean squares. None is below 0.
struct CrossedComponents {
  double seeds = 0, queries = 0, residual = 0;
};

struct CrossedTest {
  double mean = 0;
  CrossedComponents components;
  double error = 0;    // standard error of the mean, over seeds and queries
  double degrees = 0;  // degrees of freedom of `error`; not a whole number
  double p_seeds = 1;  // of the t test over seeds, two-sided
  double p = 1;        // two-sided; at least p_seeds. 0 if all differences are equal and not 0
  Interval interval;   // the wider of the two tests' intervals: it excludes 0 exactly if p is below 1 - level
};

// `differences`: [seed][query], at least two seeds and two queries, one value for each pair.
CrossedTest TestCrossed(const std::vector<std::vector<double>>& differences, double level = 0.95);

// The probability that TestCrossed finds a mean difference, two-sided at level `alpha`, with this many seeds and queries. It
// is a lower bound: both tests have to find it, and they often fail together.
double CrossedPower(const CrossedComponents& components, int64_t seeds, int64_t queries, double difference, double alpha);

// The smallest number of seeds, at least two, that finds a mean difference with the given power. The queries stay the same, so
// there may be no such number: nothing if a million seeds are too few, or the difference is 0.
std::optional<int64_t> SeedsNeeded(const CrossedComponents& components, int64_t queries, double difference,
                                   const PowerOptions& options);

// The smallest mean difference that this many seeds and queries find with the given power.
double DetectableCrossed(const CrossedComponents& components, int64_t seeds, int64_t queries, const PowerOptions& options);

}  // namespace muster
