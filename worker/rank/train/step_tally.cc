#include "worker/rank/train/step_tally.h"

#include <algorithm>

namespace muster {

void MergeTallies(const std::vector<Tally>& tallies, StepReport& report) {
  Tally sum;
  for (const Tally& tally : tallies) {
    sum.loss += tally.loss;
    sum.positive_sum += tally.positive_sum;
    sum.negative_sum += tally.negative_sum;
    sum.entropy_sum += tally.entropy_sum;
    sum.weights.Add(tally.weights);
    sum.valid_rows += tally.valid_rows;
    sum.positive_pairs += tally.positive_pairs;
    sum.negative_pairs += tally.negative_pairs;
    sum.ignored_pairs += tally.ignored_pairs;
    sum.tokens += tally.tokens;
    report.stop = MergeStopRequests(report.stop, static_cast<StopRequest>(tally.stop));
    report.applied.Add(tally.queries);
  }
  const auto [fastest, slowest] = std::minmax_element(
      tallies.begin(), tallies.end(), [](const Tally& a, const Tally& b) { return a.work_seconds < b.work_seconds; });
  if (fastest->work_seconds > 0) report.rank_skew_seconds = slowest->work_seconds - fastest->work_seconds;
  const auto mean = [](double total, int64_t count) { return count > 0 ? total / count : 0; };
  report.loss = sum.loss;
  report.valid_rows = sum.valid_rows;
  report.ignored_pairs = sum.ignored_pairs;
  report.negative_pairs = sum.negative_pairs;
  report.tokens = sum.tokens;
  report.mean_positive = mean(sum.positive_sum, sum.positive_pairs);
  report.mean_negative = mean(sum.negative_sum, sum.negative_pairs);
  report.positive_entropy = mean(sum.entropy_sum, sum.valid_rows);
  report.positive_weights = sum.weights.MeanShares();
  report.noise_weight = sum.weights.NoiseShare();
}

}  // namespace muster
