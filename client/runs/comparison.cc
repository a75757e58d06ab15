#include "client/runs/comparison.h"

#include <algorithm>
#include <cmath>

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

std::string VerdictOf(const MetricComparison& found, int64_t queries, size_t metrics) {
  const std::string all = Plural(static_cast<uint64_t>(queries), "query");
  if (found.wins.wins == 0 && found.wins.losses == 0) return absl::StrCat("both runs have the same value for all of ", all);
  const std::string p = absl::StrCat(found.p_holm < 0.0001 ? "p < 0.0001" : absl::StrFormat("p = %.4f", found.p_holm),
                                     metrics > 1 ? absl::StrCat(" after Holm's correction for ", metrics, " metrics") : "");
  if (found.p_holm <= 1 - kConfidence) {
    return absl::StrFormat("%s is better by %s (95%% interval %s to %s), %s", found.difference.mean > 0 ? "B" : "A",
                           Significant(std::abs(found.difference.mean)),
                           Significant(found.difference.mean > 0 ? found.difference.interval.low : -found.difference.interval.high),
                           Significant(found.difference.mean > 0 ? found.difference.interval.high : -found.difference.interval.low),
                           p);
  }
  std::string text = absl::StrCat("no difference shown (", p, "): ", all, " would show one of ", Significant(found.detectable),
                                  " with 80% power");
  if (found.queries_needed.has_value() && *found.queries_needed > queries) {
    absl::StrAppend(&text, "; to show the ", Significant(std::abs(found.difference.mean)), " found here would take ",
                    WithThousands(static_cast<uint64_t>(*found.queries_needed)));
  }
  return text;
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
  // One set of resamples for all columns: A's, B's, and the differences.
  RunValues columns = a;
  columns.insert(columns.end(), b.begin(), b.end());
  for (size_t m = 0; m < metrics.size(); ++m) {
    std::vector<double>& differences = columns.emplace_back();
    for (size_t q = 0; q < a[m].size(); ++q) differences.push_back(b[m][q] - a[m][q]);
  }
  const std::vector<MeanOfRun> means = MeansOf(columns, seed);
  const PowerOptions power{.alpha = (1 - kConfidence) / static_cast<double>(metrics.size()), .power = kPower};
  std::vector<MetricComparison> compared;
  std::vector<double> p;
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
    p.push_back(found.test.p);
  }
  const std::vector<double> adjusted = HolmAdjusted(p);
  for (size_t m = 0; m < metrics.size(); ++m) {
    compared[m].p_holm = adjusted[m];
    compared[m].verdict = VerdictOf(compared[m], static_cast<int64_t>(a[m].size()), metrics.size());
  }
  return compared;
}

}  // namespace muster
