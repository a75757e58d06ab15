#include "client/study/study_report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/runs/run_flags.h"
#include "client/words.h"

namespace muster {
namespace {

using TextRows = std::vector<std::vector<std::string>>;

std::string PCell(double p) { return p < 0.0001 ? "<0.0001" : absl::StrFormat("%.4f", p); }

std::string OptionalCell(const std::optional<double>& value) { return value.has_value() ? MetricCell(*value) : "-"; }

bool HasNoiseWeight(const StudyFigures& figures) {
  return std::any_of(figures.arms.begin(), figures.arms.end(),
                     [](const ArmFigure& arm) { return arm.noise_weight.has_value(); });
}

std::string WinsCell(const Wins& wins) { return absl::StrCat(wins.wins, "/", wins.ties, "/", wins.losses); }

std::string SeedsNeededCell(const PairFigure& figure) {
  if (figure.basis == PairBasis::kNone) return "-";
  return figure.seeds_needed.has_value() ? WithThousands(static_cast<uint64_t>(*figure.seeds_needed)) : "never";
}

const char* NameOfBasis(PairBasis basis) {
  switch (basis) {
    case PairBasis::kNone:
      return "none";
    case PairBasis::kSeeds:
      return "seeds";
    case PairBasis::kCrossed:
      return "seeds and queries";
  }
  return "";
}

std::string MarkdownCell(const std::string& text) { return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}}); }

std::string MarkdownTable(const TextRows& rows) {
  if (rows.size() < 2) return "";
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::vector<std::string> cells;
    for (const std::string& cell : rows[r]) cells.push_back(MarkdownCell(cell));
    absl::StrAppend(&text, "| ", absl::StrJoin(cells, " | "), " |\n");
    if (r == 0)
      absl::StrAppend(&text, "|", std::string(absl::StrJoin(std::vector<std::string>(cells.size(), "---"), "|")), "|\n");
  }
  return text + "\n";
}

std::string CsvLine(const std::vector<std::string>& cells) {
  std::vector<std::string> quoted;
  for (const std::string& cell : cells) quoted.push_back(CsvCell(cell));
  return absl::StrJoin(quoted, ",") + "\n";
}

std::vector<std::string> FactorTexts(const StudyFile& study) {
  std::vector<std::string> texts;
  for (const StudyFactor& factor : study.factors) {
    texts.push_back(absl::StrCat(factor.key, ": ", absl::StrJoin(factor.levels, ", ")));
  }
  texts.push_back(absl::StrCat("seeds: ", absl::StrJoin(study.seeds, ", ")));
  return texts;
}

}  // namespace

std::vector<std::string> StudyMethod(const StudyFile& study, const StudyFigures& figures) {
  std::vector<std::string> method = {
      absl::StrCat(
          "Each mean is the mean of the seeds, with Student's 95% intervals. Differences are B - A on the same seeds."),
      absl::StrCat(
          "Design: seeds and queries are both samples, and every seed is measured on every query. Where values by query "
          "are known, a difference is tested against the spread over seeds and queries together, and against that over "
          "seeds alone, and the larger p counts (decision 0109). Otherwise only the spread over seeds is tested, and "
          "the result is about these queries."),
      absl::StrCat("A difference is called one if its p, after Holm's correction for all ", Plural(figures.tests, "comparison"),
                   " of the study, is at most 0.05: the probability of even one wrong call "
                   "is then at most 5%."),
      absl::StrCat(
          "Decide by ", study.metrics.front(),
          ". EFFECT is the mean difference in standard deviations of the queries' "
          "differences, or of the seeds' where values by query are not known. SHOWN is the difference that these seeds "
          "would show with 80% power; NEEDED is the number of seeds that would show one of ",
          study.difference, " with these queries.")};
  if (HasNoiseWeight(figures)) {
    method.push_back(
        "NOISE WEIGHT is the share of the gradient over positives that fell on the false positives which data.noise injected: "
        "mean over the last half of the steps, then over seeds.");
  }
  return method;
}

std::vector<std::vector<std::string>> StudyArmRows(const StudyFile& study, const StudyFigures& figures, size_t metric) {
  TextRows rows = {{"ARM", "SEEDS", "MEAN", "LOW", "HIGH", "DEVIATION", "UNTRAINED"}};
  const bool has_noise = HasNoiseWeight(figures);
  if (has_noise) rows[0].push_back("NOISE WEIGHT");
  for (const ArmFigure& arm : figures.arms) {
    if (arm.metric != metric) continue;
    const bool has_interval = arm.values.size() > 1;
    rows.push_back({study.arms[arm.arm].label, absl::StrCat(arm.values.size()), MetricCell(arm.mean),
                    has_interval ? MetricCell(arm.interval.low) : "-", has_interval ? MetricCell(arm.interval.high) : "-",
                    has_interval ? MetricCell(arm.deviation) : "-", OptionalCell(arm.untrained)});
    if (has_noise) rows.back().push_back(OptionalCell(arm.noise_weight));
  }
  return rows;
}

std::vector<std::vector<std::string>> StudyPairRows(const StudyFile& study, const StudyFigures& figures, size_t metric) {
  TextRows rows = {{"A", "B", "WITH", "B-A", "LOW", "HIGH", "P", "HOLM", "EFFECT", "QUERIES WON/TIED/LOST",
                    "SEEDS WON/TIED/LOST", "SHOWN", "NEEDED", "DIFFERENT"}};
  for (const PairFigure& pair : figures.pairs) {
    if (pair.metric != metric || pair.basis == PairBasis::kNone) continue;
    const PairNames names = NamesOfPair(study, pair.pair);
    rows.push_back({names.a, names.b, names.shared, DifferenceCell(pair.mean), DifferenceCell(pair.interval.low),
                    DifferenceCell(pair.interval.high), PCell(pair.p), PCell(pair.p_holm),
                    absl::StrFormat("%+.2f", pair.effect), pair.queries > 0 ? WinsCell(pair.queries_won) : "-",
                    WinsCell(pair.seeds_won), MetricCell(pair.detectable), SeedsNeededCell(pair),
                    pair.is_difference ? "yes" : "no"});
  }
  return rows;
}

std::string StudyMarkdown(const StudyFile& study, const StudyFigures& figures) {
  std::string text = absl::StrCat("# Study ", study.name, "\n\n", Plural(study.arms.size(), "arm"), ", ",
                                  Plural(study.seeds.size(), "seed"), ", ", Plural(study.cells.size(), "job"), ".\n\n");
  for (const std::string& factor : FactorTexts(study)) absl::StrAppend(&text, "- ", factor, "\n");
  if (!figures.notes.empty()) absl::StrAppend(&text, "\n## Notes\n\n- ", absl::StrJoin(figures.notes, "\n- "), "\n");
  absl::StrAppend(&text, "\n## Method\n\n- ", absl::StrJoin(StudyMethod(study, figures), "\n- "), "\n\n");
  for (size_t m = 0; m < study.metrics.size(); ++m) {
    absl::StrAppend(&text, "## ", study.metrics[m], "\n\n", MarkdownTable(StudyArmRows(study, figures, m)),
                    MarkdownTable(StudyPairRows(study, figures, m)));
    for (const PairFigure& pair : figures.pairs) {
      if (pair.metric == m) absl::StrAppend(&text, "- ", pair.verdict, ".\n");
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string StudyArmsCsv(const StudyFile& study, const StudyFigures& figures) {
  std::string text = "metric,arm,seeds,mean,low,high,deviation,untrained,noise_weight\n";
  for (const ArmFigure& arm : figures.arms) {
    text += CsvLine({study.metrics[arm.metric], study.arms[arm.arm].label, absl::StrCat(arm.values.size()),
                     ExactNumber(arm.mean), ExactNumber(arm.interval.low), ExactNumber(arm.interval.high),
                     ExactNumber(arm.deviation), arm.untrained.has_value() ? ExactNumber(*arm.untrained) : "",
                     arm.noise_weight.has_value() ? ExactNumber(*arm.noise_weight) : ""});
  }
  return text;
}

std::string StudyPairsCsv(const StudyFile& study, const StudyFigures& figures) {
  std::string text =
      "metric,a,b,basis,seeds,queries,difference,low,high,p,p_holm,p_seeds,p_queries,effect,queries_won,queries_tied,"
      "queries_lost,seeds_won,seeds_tied,seeds_lost,detectable,seeds_needed,different\n";
  for (const PairFigure& pair : figures.pairs) {
    const auto count = [&](int64_t value) { return pair.queries > 0 ? absl::StrCat(value) : ""; };
    text += CsvLine({study.metrics[pair.metric],
                     study.arms[pair.pair.a].label,
                     study.arms[pair.pair.b].label,
                     NameOfBasis(pair.basis),
                     absl::StrCat(pair.seeds),
                     absl::StrCat(pair.queries),
                     ExactNumber(pair.mean),
                     ExactNumber(pair.interval.low),
                     ExactNumber(pair.interval.high),
                     ExactNumber(pair.p),
                     ExactNumber(pair.p_holm),
                     ExactNumber(pair.p_seeds),
                     pair.p_queries.has_value() ? ExactNumber(*pair.p_queries) : "",
                     ExactNumber(pair.effect),
                     count(pair.queries_won.wins),
                     count(pair.queries_won.ties),
                     count(pair.queries_won.losses),
                     absl::StrCat(pair.seeds_won.wins),
                     absl::StrCat(pair.seeds_won.ties),
                     absl::StrCat(pair.seeds_won.losses),
                     ExactNumber(pair.detectable),
                     pair.seeds_needed.has_value() ? absl::StrCat(*pair.seeds_needed) : "",
                     pair.is_difference ? "yes" : "no"});
  }
  return text;
}

std::string StudyCellsCsv(const StudyFile& study, absl::Span<const CellResult> results) {
  std::vector<std::string> header = {"arm", "seed", "state", "dataset", "split", "queries", "documents"};
  for (const std::string& metric : study.metrics) {
    header.push_back(metric);
    header.push_back(absl::StrCat("untrained ", metric));
  }
  std::string text = CsvLine(header);
  for (size_t c = 0; c < study.cells.size(); ++c) {
    const CellResult& result = results[c];
    std::vector<std::string> line = {
        study.arms[study.cells[c].arm].label, absl::StrCat(study.cells[c].seed), result.state, result.dataset, result.split,
        absl::StrCat(result.queries),         absl::StrCat(result.documents)};
    for (const std::string& metric : study.metrics) {
      for (const auto* metrics : {&result.trained, &result.untrained}) {
        const auto found = metrics->find(metric);
        line.push_back(found == metrics->end() ? "" : ExactNumber(found->second));
      }
    }
    text += CsvLine(line);
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> StudyReportFiles(const StudyFile& study,
                                                                  absl::Span<const CellResult> results) {
  const StudyFigures figures = FiguresOf(study, results);
  return {{"report.md", StudyMarkdown(study, figures)},
          {"report.html", StudyHtml(study, figures)},
          {"arms.csv", StudyArmsCsv(study, figures)},
          {"comparisons.csv", StudyPairsCsv(study, figures)},
          {"jobs.csv", StudyCellsCsv(study, results)}};
}

}  // namespace muster
