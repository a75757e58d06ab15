#include "common/statistics/crossed.h"

#include <algorithm>
#include <cmath>

#include "common/statistics/quantiles.h"

namespace muster {
namespace {

constexpr int64_t kMostSeeds = 1'000'000;
constexpr double kManyCrossedDegrees = 100'000;  // as in power.cc: from here on the t statistic is normal to within rounding

struct MeanSquares {
  double seeds = 0, queries = 0, residual = 0;
};

struct ErrorOfMean {
  double squared = 0;  // of the mean
  double degrees = 1;
};

// If the residual is large by chance, the estimate can fall below the error from seeds alone or from queries alone. The maximum
// keeps a test over both from being more certain than a test over one of them.
ErrorOfMean ErrorOf(const MeanSquares& squares, int64_t seeds, int64_t queries) {
  const double cells = static_cast<double>(seeds) * static_cast<double>(queries);
  const double s = static_cast<double>(seeds - 1), q = static_cast<double>(queries - 1);
  const double sum = std::max({squares.seeds + squares.queries - squares.residual, squares.seeds, squares.queries});
  const double spread =
      squares.seeds * squares.seeds / s + squares.queries * squares.queries / q + squares.residual * squares.residual / (s * q);
  return {sum / cells, spread > 0 ? std::max(1.0, sum * sum / spread) : s};
}

std::vector<double> MeansOfQueries(const std::vector<std::vector<double>>& differences) {
  std::vector<double> means(differences[0].size(), 0);
  for (const std::vector<double>& row : differences) {
    for (size_t q = 0; q < row.size(); ++q) means[q] += row[q] / static_cast<double>(differences.size());
  }
  return means;
}

MeanSquares MeanSquaresOf(const std::vector<std::vector<double>>& differences, double mean) {
  const size_t seeds = differences.size(), queries = differences[0].size();
  std::vector<double> seed_means;
  for (const std::vector<double>& row : differences) seed_means.push_back(Mean(row));
  const std::vector<double> query_means = MeansOfQueries(differences);
  MeanSquares squares;
  for (const double one : seed_means) squares.seeds += (one - mean) * (one - mean);
  for (const double one : query_means) squares.queries += (one - mean) * (one - mean);
  for (size_t s = 0; s < seeds; ++s) {
    for (size_t q = 0; q < queries; ++q) {
      const double rest = differences[s][q] - seed_means[s] - query_means[q] + mean;
      squares.residual += rest * rest;
    }
  }
  const double s = static_cast<double>(seeds - 1), q = static_cast<double>(queries - 1);
  squares.seeds *= static_cast<double>(queries) / s;
  squares.queries *= static_cast<double>(seeds) / q;
  squares.residual /= s * q;
  return squares;
}

bool AreEqual(const std::vector<std::vector<double>>& differences) {
  for (const std::vector<double>& row : differences) {
    for (const double one : row) {
      if (one != differences[0][0]) return false;
    }
  }
  return true;
}

ErrorOfMean ErrorOverSeeds(const MeanSquares& squares, int64_t seeds, int64_t queries) {
  return {squares.seeds / (static_cast<double>(seeds) * static_cast<double>(queries)), static_cast<double>(seeds - 1)};
}

double ProbabilityOf(double mean, const ErrorOfMean& error) {
  if (mean == 0) return 1;
  return error.squared > 0 ? StudentTwoSided(mean / std::sqrt(error.squared), error.degrees) : 0;
}

double HalfWidth(const ErrorOfMean& error, double level) {
  return StudentQuantile((1 + level) / 2, error.degrees) * std::sqrt(error.squared);
}

double PowerOf(const ErrorOfMean& error, double difference, double alpha) {
  if (error.squared <= 0) return difference == 0 ? alpha : 1;
  const double shift = std::abs(difference) / std::sqrt(error.squared);
  if (error.degrees > kManyCrossedDegrees) {
    const double limit = NormalQuantile(1 - alpha / 2);
    return NormalDistribution(shift - limit) + NormalDistribution(-shift - limit);
  }
  const double limit = StudentQuantile(1 - alpha / 2, error.degrees);
  return 1 - NoncentralStudentDistribution(limit, error.degrees, shift) +
         NoncentralStudentDistribution(-limit, error.degrees, shift);
}

}  // namespace

CrossedTest TestCrossed(const std::vector<std::vector<double>>& differences, double level) {
  CrossedTest test;
  const int64_t seeds = static_cast<int64_t>(differences.size()), queries = static_cast<int64_t>(differences[0].size());
  std::vector<double> seed_means;
  for (const std::vector<double>& row : differences) seed_means.push_back(Mean(row));
  test.mean = Mean(seed_means);
  // Equal differences have no spread, whatever the rounding of their mean.
  const bool equal = AreEqual(differences);
  if (equal) test.mean = differences[0][0];
  const MeanSquares squares = equal ? MeanSquares() : MeanSquaresOf(differences, test.mean);
  test.components = {.seeds = std::max(0.0, (squares.seeds - squares.residual) / static_cast<double>(queries)),
                     .queries = std::max(0.0, (squares.queries - squares.residual) / static_cast<double>(seeds)),
                     .residual = squares.residual};
  const ErrorOfMean error = ErrorOf(squares, seeds, queries), over_seeds = ErrorOverSeeds(squares, seeds, queries);
  test.error = std::sqrt(error.squared);
  test.degrees = error.degrees;
  test.p_seeds = ProbabilityOf(test.mean, over_seeds);
  test.p = std::max(test.p_seeds, ProbabilityOf(test.mean, error));
  const double half = std::max(HalfWidth(error, level), HalfWidth(over_seeds, level));
  test.interval = {test.mean - half, test.mean + half};
  return test;
}

double CrossedPower(const CrossedComponents& components, int64_t seeds, int64_t queries, double difference, double alpha) {
  if (seeds < 2 || queries < 2) return 0;
  // The expected mean squares.
  const MeanSquares squares = {.seeds = components.residual + static_cast<double>(queries) * components.seeds,
                               .queries = components.residual + static_cast<double>(seeds) * components.queries,
                               .residual = components.residual};
  return std::max(0.0, PowerOf(ErrorOf(squares, seeds, queries), difference, alpha) +
                           PowerOf(ErrorOverSeeds(squares, seeds, queries), difference, alpha) - 1);
}

std::optional<int64_t> SeedsNeeded(const CrossedComponents& components, int64_t queries, double difference,
                                   const PowerOptions& options) {
  if (difference == 0) return std::nullopt;
  const auto is_enough = [&](int64_t seeds) {
    return CrossedPower(components, seeds, queries, difference, options.alpha) >= options.power;
  };
  int64_t enough = 2;
  if (is_enough(enough)) return enough;
  while (!is_enough(enough)) {
    enough *= 2;
    if (enough > kMostSeeds) return std::nullopt;
  }
  int64_t few = enough / 2;
  while (enough - few > 1) {
    const int64_t middle = few + (enough - few) / 2;
    (is_enough(middle) ? enough : few) = middle;
  }
  return enough;
}

double DetectableCrossed(const CrossedComponents& components, int64_t seeds, int64_t queries, const PowerOptions& options) {
  const auto power = [&](double difference) { return CrossedPower(components, seeds, queries, difference, options.alpha); };
  if (components.seeds == 0 && components.queries == 0 && components.residual == 0) return 0;
  double low = 0, high = 1e-6;
  while (power(high) < options.power && high < 1e6) high *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (power(middle) < options.power ? low : high) = middle;
  }
  return high;
}

}  // namespace muster
