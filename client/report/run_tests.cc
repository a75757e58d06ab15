#include "client/report/run_tests.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/report/page.h"
#include "client/runs/run_flags.h"
#include "client/words.h"

namespace muster {
namespace {

std::string PText(double p) { return p < 0.0001 ? "<0.0001" : absl::StrFormat("%.4f", p); }

std::string IntervalText(double low, double high, bool is_difference) {
  const auto cell = is_difference ? DifferenceCell : MetricCell;
  return absl::StrCat(cell(low), " to ", cell(high));
}

}  // namespace

RunTests TestRuns(std::string qrels, std::vector<std::string> files, std::vector<std::string> metrics,
                  absl::Span<const JudgedRun> runs, uint64_t seed) {
  RunTests tests{.qrels = std::move(qrels), .files = std::move(files), .metrics = std::move(metrics)};
  std::vector<RunValues> values;
  for (const JudgedRun& run : runs) {
    tests.queries = run.queries.size();
    tests.means.push_back(MeansOf(run.values, seed));
    values.push_back(run.values);
    for (const std::string& note : run.notes) {
      if (std::find(tests.notes.begin(), tests.notes.end(), note) == tests.notes.end()) tests.notes.push_back(note);
    }
  }
  tests.with_first.emplace_back();
  if (runs.size() < 2) return tests;
  for (auto& of_run : CompareWithFirst(tests.metrics, values, seed)) tests.with_first.push_back(std::move(of_run));
  return tests;
}

std::string RunTestsHtml(const RunTests& tests, absl::Span<const std::string> labels) {
  if (tests.means.empty()) return "";
  const bool compares = tests.means.size() > 1;
  Rows rows = {{"metric", "job", "mean", "95% interval"}};
  if (compares) {
    const std::vector<std::string> more = {"difference", "95% interval", "p", "p, corrected", "won", "tied", "lost"};
    rows[0].insert(rows[0].end(), more.begin(), more.end());
  }
  for (size_t m = 0; m < tests.metrics.size(); ++m) {
    for (size_t r = 0; r < tests.means.size(); ++r) {
      const MeanOfRun& mean = tests.means[r][m];
      std::vector<std::string> row = {tests.metrics[m], labels[r], MetricCell(mean.mean),
                                      IntervalText(mean.interval.low, mean.interval.high, false)};
      if (r > 0) {
        const MetricComparison& found = tests.with_first[r][m];
        const std::vector<std::string> tested = {
            DifferenceCell(found.difference.mean),
            IntervalText(found.difference.interval.low, found.difference.interval.high, true),
            PText(found.test.p),
            PText(found.p_holm),
            WithThousands(static_cast<uint64_t>(found.wins.wins)),
            WithThousands(static_cast<uint64_t>(found.wins.ties)),
            WithThousands(static_cast<uint64_t>(found.wins.losses))};
        row.insert(row.end(), tested.begin(), tested.end());
      }
      row.resize(rows[0].size());
      rows.push_back(std::move(row));
    }
  }
  std::string text = absl::StrCat(Plural(tests.queries, "query"), " judged in ", tests.qrels, ".");
  if (compares) {
    absl::StrAppend(&text, " Differences are from ", labels[0],
                    ", query by query, with a paired randomization test. Use the corrected p (Holm's method, over all metrics "
                    "and jobs): a difference is shown if it is at most 0.05.");
  }
  return absl::StrCat(ParagraphHtml(text), TableHtml(rows, true), ListHtml(tests.notes));
}

}  // namespace muster
