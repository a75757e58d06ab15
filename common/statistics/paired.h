// Tests whether two systems differ, from one value of each per query (or per seed). They take the differences B - A.
// All functions are pure and thread-safe. Differences must be finite.
#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace muster {

struct PairedTTest {
  double t = 0;        // infinite if all differences are equal and not 0
  double degrees = 0;  // of freedom: count - 1
  double p = 1;        // two-sided
};
// Student's paired test. p is 1 for fewer than two differences. With few seeds only this test can find a difference:
// the randomization test of 5 pairs cannot reach a p below 1/16.
PairedTTest TestByT(absl::Span<const double> differences);

struct RandomizationTest {
  double p = 1;        // two-sided
  uint64_t flips = 0;  // assignments of signs that were compared, including the given one
  bool exact = false;  // these were all assignments
};
struct RandomizationOptions {
  uint64_t seed = 0;
  uint64_t flips = 100'000;  // at least 2; if there are at most 2^20 assignments, all of them are used instead
};
// Fisher's randomization test of the mean: if the systems are equally good, each difference could just as well have the
// opposite sign. p is the share of sign assignments whose mean is at least as far from 0 as the given one. Random
// assignments include the given one, so p is never 0 and the test never rejects too often (Phipson and Smyth,
// "Permutation p-values should never be zero", 2010). Smucker, Allan and Carterette, "A comparison of statistical
// significance tests for information retrieval evaluation" (CIKM 2007) recommend it, or the paired t test, over
// Wilcoxon's and the sign test. Time: flips * (differences other than 0) / 8.
RandomizationTest TestBySignFlips(absl::Span<const double> differences, const RandomizationOptions& options);

// Cohen's d of paired values: the mean difference in standard deviations of the differences. 0 if the mean is 0; infinite
// if all differences are equal and not 0.
double PairedEffectSize(absl::Span<const double> differences);

struct Wins {
  int64_t wins = 0, ties = 0, losses = 0;  // differences above, at, below 0
};
// Differences up to 1e-12 are ties: they come from rounding.
Wins CountWins(absl::Span<const double> differences);

}  // namespace muster
