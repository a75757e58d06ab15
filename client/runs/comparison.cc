#include "client/runs/comparison.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/words.h"
#include "common/statistics/bootstrap.h"
#include "common/statistics/correction.h"
#include "common/statistics/power.h"

namespace muster {
namespace {

// Three significant digits, without an exponent: 0.0124, 0.000302.
std::string Significant(double value) {
  if (value == 0) return "0";
  const int before = static_cast<int>(std::floor(std::log10(std::abs(value)))) + 1;
  return absl::StrFormat("%.*f", std::max(0, 3 - before), value);
}

// What a verdict says about all comparisons.
struct VerdictFrame {
  std::string letter;     // of the run that is compared with A
  size_t runs = 2;
  size_t comparisons = 1;  // metrics of all runs
  int64_t queries = 0;
};

std::string CorrectionText(const VerdictFrame& frame) {
  if (frame.comparisons == 1) return "";
  return absl::StrCat(" after Holm's correction for ", frame.comparisons, frame.runs == 2 ? " metrics" : " comparisons");
}

std::string VerdictOf(const MetricComparison& found, const VerdictFrame& frame) {
  const std::string all = Plural(static_cast<uint64_t>(frame.queries), "query");
  if (found.wins.wins == 0 && found.wins.losses == 0) {
    const std::string who = frame.runs == 2 ? "both runs" : absl::StrCat("A and ", frame.letter);
    return absl::StrCat(who, " have the same value for all of ", all);
  }
  const std::string p = absl::StrCat(found.p_holm < 0.0001 ? "p < 0.0001" : absl::StrFormat("p = %.4f", found.p_holm),
                                     CorrectionText(frame));
  if (found.p_holm <= 1 - kConfidence) {
    const bool is_better = found.difference.mean > 0;
    const std::string better = is_better ? frame.letter : "A";
    return absl::StrFormat("%s is better%s by %s (95%% interval %s to %s), %s", better,
                           frame.runs == 2 ? "" : absl::StrCat(" than ", is_better ? "A" : frame.letter),
                           Significant(std::abs(found.difference.mean)),
                           Significant(is_better ? found.difference.interval.low : -found.difference.interval.high),
                           Significant(is_better ? found.difference.interval.high : -found.difference.interval.low), p);
  }
  std::string text = absl::StrCat("no difference ", frame.runs == 2 ? "" : absl::StrCat("between A and ", frame.letter, " "),
                                  "shown (", p, "): ", all, " would show one of ", Significant(found.detectable),
                                  " with 80% power");
  if (found.queries_needed.has_value() && *found.queries_needed > frame.queries) {
    absl::StrAppend(&text, "; to show the ", Significant(std::abs(found.difference.mean)), " found here would take ",
                    WithThousands(static_cast<uint64_t>(*found.queries_needed)));
  }
  return text;
}

// Everything but what depends on all comparisons: p_holm and the verdict. `alpha`: the level of one comparison.
std::vector<MetricComparison> ComparePair(const std::vector<std::string>& metrics, const RunValues& a, const RunValues& b,
                                          uint64_t seed, double alpha) {
  // One set of resamples for all columns: A's, B's, and the differences.
  RunValues columns = a;
  columns.insert(columns.end(), b.begin(), b.end());
  for (size_t m = 0; m < metrics.size(); ++m) {
    std::vector<double>& differences = columns.emplace_back();
    for (size_t q = 0; q < a[m].size(); ++q) differences.push_back(b[m][q] - a[m][q]);
  }
  const std::vector<MeanOfRun> means = MeansOf(columns, seed);
  const PowerOptions power{.alpha = alpha, .power = kPower};
  std::vector<MetricComparison> compared;
  for (size_t m = 0; m < metrics.size(); ++m) {
    const std::vector<double>& differences = columns[2 * metrics.size() + m];
    const int64_t queries = static_cast<int64_t>(differences.size());
    MetricComparison& found = compared.emplace_back();
    found.metric = metrics[m];
    found.a = means[m];
    found.b = means[metrics.size() + m];
    found.difference = means[2 * metrics.size() + m];
    found.test = TestBySignFlips(differences, {.seed = seed});
    found.t = TestByT(differences);
    found.effect_size = PairedEffectSize(differences);
    found.wins = CountWins(differences);
    const double deviation = StandardDeviation(differences);
    found.detectable = DetectableDifference(queries, deviation, power);
    found.queries_needed = PairsNeeded(found.difference.mean, deviation, power);
  }
  return compared;
}

}  // namespace

std::vector<MeanOfRun> MeansOf(const RunValues& values, uint64_t seed) {
  const std::vector<Interval> intervals = BootstrapIntervals(values, {.seed = seed, .level = kConfidence});
  std::vector<MeanOfRun> means;
  for (size_t m = 0; m < values.size(); ++m) means.push_back({Mean(values[m]), intervals[m]});
  return means;
}

std::vector<MetricComparison> CompareRuns(const std::vector<std::string>& metrics, const RunValues& a, const RunValues& b,
                                          uint64_t seed) {
  return std::move(CompareWithFirst(metrics, {a, b}, seed).front());
}

std::vector<std::vector<MetricComparison>> CompareWithFirst(const std::vector<std::string>& metrics,
                                                            absl::Span<const RunValues> runs, uint64_t seed) {
  VerdictFrame frame{.runs = runs.size(), .comparisons = metrics.size() * (runs.size() - 1)};
  const double alpha = (1 - kConfidence) / static_cast<double>(frame.comparisons);
  std::vector<std::vector<MetricComparison>> all;
  std::vector<double> p;
  for (size_t r = 1; r < runs.size(); ++r) {
    all.push_back(ComparePair(metrics, runs[0], runs[r], seed, alpha));
    for (const MetricComparison& found : all.back()) p.push_back(found.test.p);
  }
  const std::vector<double> adjusted = HolmAdjusted(p);
  frame.queries = static_cast<int64_t>(runs[0].front().size());
  for (size_t i = 0; i < adjusted.size(); ++i) {
    MetricComparison& found = all[i / metrics.size()][i % metrics.size()];
    found.p_holm = adjusted[i];
    frame.letter = RunLetter(1 + i / metrics.size());
    found.verdict = VerdictOf(found, frame);
  }
  return all;
}

std::string RunLetter(size_t run) { return std::string(1, static_cast<char>('A' + run)); }

}  // namespace muster
