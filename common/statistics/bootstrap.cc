#include "common/statistics/bootstrap.h"

#include <algorithm>
#include <cmath>

#include "common/random.h"
#include "common/statistics/quantiles.h"
#include "common/vector.h"

namespace muster {
namespace {

// The queries that resample number `resample` takes. A word of 32 bits per query: its bias, below count / 2^32, is far
// smaller than the error of resampling itself.
MUSTER_VECTOR_CLONES
void DrawQueries(uint64_t key, uint64_t resample, uint32_t* queries, size_t count) {
  constexpr size_t kWords = 4 * kLanes;
  const uint64_t blocks = (count + kWords - 1) / kWords * kLanes;
  uint32_t words[kWords];
  for (size_t begin = 0; begin < count; begin += kWords) {
    PhiloxBlocks(key, resample * blocks + begin / 4, words);
    const size_t end = std::min(begin + kWords, count);
    for (size_t i = begin; i < end; ++i) queries[i] = static_cast<uint32_t>(uint64_t{words[i - begin]} * count >> 32);
  }
}

// Four partial sums, since each addition waits for the one before it.
double SumOf(const std::vector<double>& values, const std::vector<uint32_t>& queries) {
  double sums[4] = {};
  size_t i = 0;
  for (; i + 4 <= queries.size(); i += 4) {
    for (size_t j = 0; j < 4; ++j) sums[j] += values[queries[i + j]];
  }
  for (; i < queries.size(); ++i) sums[0] += values[queries[i]];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Quantiles of a sample with ties (Parzen's mid-distribution): interpolates between distinct values, each placed at the
// middle of its step of the distribution function. Means of hits and reciprocal ranks have few distinct values, so ordinary
// quantiles would round intervals outward to the next value. Values less than `rounding` apart count as equal.
class MidQuantiles {
 public:
  MidQuantiles(std::vector<double> sample, double rounding) {
    std::sort(sample.begin(), sample.end());
    for (size_t begin = 0, end = 0; begin < sample.size(); begin = end) {
      while (end < sample.size() && sample[end] - sample[begin] <= rounding) ++end;
      values_.push_back(sample[begin]);
      middles_.push_back(static_cast<double>(begin + end) / 2 / static_cast<double>(sample.size()));
    }
  }
  double At(double probability) const {
    const size_t above = std::lower_bound(middles_.begin(), middles_.end(), probability) - middles_.begin();
    if (above == 0) return values_.front();
    if (above == values_.size()) return values_.back();
    const double part = (probability - middles_[above - 1]) / (middles_[above] - middles_[above - 1]);
    return values_[above - 1] + part * (values_[above] - values_[above - 1]);
  }

 private:
  std::vector<double> values_, middles_;
};

// `offsets`: means of the resamples minus the mean.
Interval BcaInterval(const std::vector<double>& values, double mean, std::vector<double> offsets, double level) {
  const double count = static_cast<double>(values.size());
  double squares = 0, cubes = 0;
  for (const double value : values) {
    const double offset = value - mean;
    squares += offset * offset;
    cubes += offset * offset * offset;
  }
  // Rounding must not decide on which side of the mean a resample with exactly that mean lies.
  const double rounding = 1e-12 * std::sqrt(squares / count);
  double below = 0;
  for (const double offset : offsets) below += offset < -rounding ? 1 : offset <= rounding ? 0.5 : 0;
  const double resamples = static_cast<double>(offsets.size());
  const double bias = NormalQuantile(std::clamp(below / resamples, 0.5 / resamples, 1 - 0.5 / resamples));
  const double acceleration = cubes / (6 * std::pow(squares, 1.5));  // of the jackknife, for a mean
  const double wide = std::sqrt(count / (count - 1)) * StudentQuantile((1 + level) / 2, count - 1);
  const MidQuantiles quantiles(std::move(offsets), rounding);
  const auto end = [&](double z) {
    const double shifted = bias + z, rest = 1 - acceleration * shifted;
    // Beyond the pole of the correction the quantile is the sample's smallest or largest value.
    const double probability = rest <= 0 ? (shifted > 0 ? 1 : 0) : NormalDistribution(bias + shifted / rest);
    return mean + quantiles.At(probability);
  };
  return {end(-wide), end(wide)};
}

}  // namespace

std::vector<Interval> BootstrapIntervals(absl::Span<const std::vector<double>> columns, const BootstrapOptions& options) {
  if (columns.empty()) return {};
  const size_t count = columns[0].size();
  std::vector<std::vector<double>> centered, offsets(columns.size());
  for (const std::vector<double>& column : columns) {
    centered.push_back(column);
    const double mean = Mean(column);
    for (double& value : centered.back()) value -= mean;
  }
  const uint64_t key = MixKey(options.seed, 0xB007);
  std::vector<uint32_t> queries(count);
  for (int resample = 0; resample < options.resamples; ++resample) {
    DrawQueries(key, static_cast<uint64_t>(resample), queries.data(), count);
    for (size_t c = 0; c < columns.size(); ++c) {
      offsets[c].push_back(SumOf(centered[c], queries) / static_cast<double>(count));
    }
  }
  std::vector<Interval> intervals;
  for (size_t c = 0; c < columns.size(); ++c) {
    const bool spread = StandardDeviation(columns[c]) > 0;
    intervals.push_back(spread ? BcaInterval(columns[c], Mean(columns[c]), std::move(offsets[c]), options.level)
                               : Interval{columns[c].front(), columns[c].front()});
  }
  return intervals;
}

Interval BootstrapInterval(const std::vector<double>& values, const BootstrapOptions& options) {
  return BootstrapIntervals({values}, options).front();
}

}  // namespace muster
