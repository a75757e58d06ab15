// How often intervals for a mean over queries cover the truth, by method: the table of
// docs/decisions/0100-intervals-and-paired-tests.md.
//
// usage: muster-interval-bench [DRAWS [RESAMPLES]]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "common/statistics/bootstrap.h"
#include "common/statistics/quantiles.h"
#include "common/statistics/testing/populations.h"

namespace muster {
namespace {

struct Sample {
  std::vector<double> values;
  double mean = 0, deviation = 0;
  std::vector<double> means, studentized;  // of resamples, sorted
};

Sample Resampled(std::vector<double> values, int resamples, uint64_t seed) {
  Sample sample{.values = std::move(values)};
  sample.mean = Mean(sample.values);
  sample.deviation = StandardDeviation(sample.values);
  CounterRandom random(MixKey(seed, 1));
  std::vector<double> drawn(sample.values.size());
  for (int r = 0; r < resamples; ++r) {
    for (double& value : drawn) value = sample.values[random.Below(drawn.size())];
    const double mean = Mean(drawn), deviation = StandardDeviation(drawn), offset = mean - sample.mean;
    sample.means.push_back(mean);
    sample.studentized.push_back(offset == 0 ? 0 : offset / (deviation / std::sqrt(static_cast<double>(drawn.size()))));
  }
  std::sort(sample.means.begin(), sample.means.end());
  std::sort(sample.studentized.begin(), sample.studentized.end());
  return sample;
}

double Quantile(const std::vector<double>& sorted, double probability) {
  const double place = probability * static_cast<double>(sorted.size());
  return sorted[static_cast<size_t>(std::clamp(place, 0.0, static_cast<double>(sorted.size() - 1)))];
}

Interval Percentile(const Sample& sample) { return {Quantile(sample.means, 0.025), Quantile(sample.means, 0.975)}; }

Interval Studentized(const Sample& sample) {
  const double error = sample.deviation / std::sqrt(static_cast<double>(sample.values.size()));
  return {sample.mean - Quantile(sample.studentized, 0.975) * error, sample.mean - Quantile(sample.studentized, 0.025) * error};
}

Interval PlainBca(const Sample& sample) {
  double squares = 0, cubes = 0, below = 0;
  for (const double value : sample.values) {
    squares += std::pow(value - sample.mean, 2);
    cubes += std::pow(value - sample.mean, 3);
  }
  for (const double mean : sample.means) below += mean < sample.mean - 1e-12 ? 1 : mean <= sample.mean + 1e-12 ? 0.5 : 0;
  const double count = static_cast<double>(sample.means.size());
  const double bias = NormalQuantile(std::clamp(below / count, 0.5 / count, 1 - 0.5 / count));
  const double acceleration = cubes / (6 * std::pow(squares, 1.5));
  const auto end = [&](double z) {
    return Quantile(sample.means, NormalDistribution(bias + (bias + z) / (1 - acceleration * (bias + z))));
  };
  return {end(NormalQuantile(0.025)), end(NormalQuantile(0.975))};
}

void Measure(const Population& population, int queries, int draws, int resamples) {
  int covered[5] = {}, unbounded = 0;
  CounterRandom random(MixKey(20260601, queries));
  for (int draw = 0; draw < draws; ++draw) {
    std::vector<double> values = DrawMany(population, queries, random);
    const uint64_t seed = static_cast<uint64_t>(draw);
    const Interval ours = BootstrapInterval(values, {.seed = seed, .resamples = resamples});
    const Interval student = StudentInterval(values);
    const Sample sample = Resampled(std::move(values), resamples, seed);
    const bool spread = sample.deviation > 0;
    const Interval point{sample.mean, sample.mean}, studentized = spread ? Studentized(sample) : point;
    const Interval all[5] = {student, Percentile(sample), spread ? PlainBca(sample) : point, studentized, ours};
    for (int m = 0; m < 5; ++m) covered[m] += all[m].low <= population.mean && population.mean <= all[m].high;
    unbounded += std::isinf(studentized.low) || std::isinf(studentized.high);
  }
  std::printf("| %s | %d |", population.name.c_str(), queries);
  for (const int count : covered) std::printf(" %.1f |", 100.0 * count / draws);
  std::printf(" %.1f |\n", 100.0 * unbounded / draws);
  std::fflush(stdout);
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  const int draws = argc > 1 ? std::atoi(argv[1]) : 2000, resamples = argc > 2 ? std::atoi(argv[2]) : 1000;
  std::vector<muster::Population> populations = muster::Populations();
  populations.push_back({"hits of 97%", 0.97, [](muster::CounterRandom& random) { return random.Uniform() < 0.97 ? 1.0 : 0.0; }});
  std::printf("| values | queries | Student | percentile | BCa | studentized | Muster | studentized has no end |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  for (const muster::Population& population : populations) {
    for (const int queries : {10, 20, 50, 100, 300}) muster::Measure(population, queries, draws, resamples);
  }
  return 0;
}
