// Populations of queries with a known mean, for tests of intervals and tests.
#pragma once

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "common/random.h"

namespace muster {

inline double DrawNormal(CounterRandom& random) {  // Box and Muller
  const double radius = std::sqrt(-2 * std::log(1 - random.Uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.Uniform());
}

struct Population {
  std::string name;
  double mean;
  double (*draw)(CounterRandom& random);
  // From this many queries on, an interval of 95% is expected to cover the mean in 95 +- 2% of draws.
  int least_queries = 50;
};

// nDCG of a hard set: most queries find nothing, some are perfect.
inline double DrawHardNdcg(CounterRandom& random) {
  const double kind = random.Uniform();
  return kind < 0.7 ? 0 : kind < 0.8 ? 1 : random.Uniform() * random.Uniform();
}
// nDCG of an average set.
inline double DrawNdcg(CounterRandom& random) {
  const double kind = random.Uniform();
  return kind < 0.4 ? 0 : kind < 0.6 ? 1 : random.Uniform();
}
// The reciprocal of a geometric rank.
inline double DrawReciprocalRank(CounterRandom& random) {
  int rank = 1;
  while (random.Uniform() > 0.3 && rank < 1000) ++rank;
  return 1.0 / rank;
}
// Recall of queries with one relevant document.
inline double DrawHit(CounterRandom& random) { return random.Uniform() < 0.6 ? 1 : 0; }
// Differences of two similar systems: half of the queries have equal values, a few lose much.
inline double DrawDifference(CounterRandom& random) {
  const double kind = random.Uniform();
  return kind < 0.5 ? 0 : kind < 0.9 ? 0.3 * random.Uniform() - 0.1 : -0.6 * random.Uniform();
}

inline std::vector<Population> Populations() {
  double reciprocal = 0, left = 1;
  for (int rank = 1; rank < 1000; ++rank, left *= 0.7) reciprocal += left * 0.3 / rank;
  return {{"nDCG", 0.2 + 0.4 / 2, DrawNdcg},
          {"nDCG of a hard set", 0.1 + 0.2 / 4, DrawHardNdcg},
          {"reciprocal rank", reciprocal + left / 1000, DrawReciprocalRank},
          {"hits", 0.6, DrawHit},
          {"differences", 0.4 * 0.05 - 0.1 * 0.3, DrawDifference, 100},
          {"normal", 0, DrawNormal}};
}

inline std::vector<double> DrawMany(const Population& population, int count, CounterRandom& random) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(population.draw(random));
  return values;
}

}  // namespace muster
