#include "client/import_report.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/words.h"

namespace muster {
namespace {

using muster::v1::ImportReport;
using muster::v1::LengthSummary;
using Counts = std::vector<std::pair<std::string, uint64_t>>;

constexpr double kWorryingCut = 0.01;       // of the texts
constexpr double kWorryingNegatives = 0.01;  // share of the hard negatives

std::string CountsText(const Counts& counts) {
  std::vector<std::string> parts;
  for (const auto& [label, count] : counts) parts.push_back(absl::StrCat(label, ": ", WithThousands(count)));
  return absl::StrJoin(parts, ", ");
}

double ShareCut(const LengthSummary& lengths) {
  return lengths.texts() == 0 ? 0 : static_cast<double>(lengths.truncated()) / static_cast<double>(lengths.texts());
}

std::string LengthsText(const LengthSummary& lengths) {
  return absl::StrCat("median ", lengths.median(), ", 95 % up to ", lengths.percentile_95(), ", longest ",
                      lengths.longest(), "; longer than ", lengths.limit(), ": ", PercentText(ShareCut(lengths)));
}

std::string Line(const std::string& label, const std::string& text) { return absl::StrFormat("  %-11s %s\n", label, text); }

void WarnOfLengths(const char* side, const char* plural, const LengthSummary& lengths, std::vector<std::string>& warnings) {
  if (ShareCut(lengths) < kWorryingCut) return;
  warnings.push_back(absl::StrCat(PercentText(ShareCut(lengths)), " of the ", plural, " have more than ", lengths.limit(),
                                  " tokens and are cut there. Raise model.max_length.", side,
                                  " in the job, up to what the model can read; the longest has ", lengths.longest(), "."));
}

void WarnOfJudgments(const ImportReport& report, std::vector<std::string>& warnings) {
  if (report.bad_records() > 0) {
    warnings.push_back(absl::StrCat(Plural(report.bad_records(), "bad record"),
                                    " left out. Fix the lines below, and import again."));
  }
  if (report.judgments_without_query() > 0) {
    warnings.push_back(absl::StrCat(Plural(report.judgments_without_query(), "judgment"),
                                    " left out: the query does not exist. Check that the judgments belong to these queries."));
  }
  if (report.judgments_without_document() > 0) {
    warnings.push_back(absl::StrCat(Plural(report.judgments_without_document(), "judgment"),
                                    " left out: the document does not exist. Check that the judgments belong to this corpus."));
  }
  if (report.conflicting_judgments() > 0) {
    warnings.push_back(absl::StrCat(Plural(report.conflicting_judgments(), "pair"),
                                    " of query and document with two grades in one split. Give each pair one grade, or see "
                                    "docs/reference/data-schemas.md for the one that counts."));
  }
  if (report.queries_without_positive() > 0) {
    warnings.push_back(absl::StrCat(Plural(report.queries_without_positive(), "query"),
                                    " without a positive in any split: not trained, and not measured. Check their judgments."));
  }
}

}  // namespace

std::string PercentText(double share) { return absl::StrFormat("%.2f %%", 100 * share); }

Counts PositivesHistogram(const ImportReport& report) {
  std::map<uint32_t, std::pair<uint32_t, uint64_t>> ranges;  // first → last, queries
  for (const auto& [positives, queries] : report.positives_per_query()) {
    uint32_t first = positives, last = positives;
    if (positives > 2) {
      last = 4;
      while (last < positives) last *= 2;
      first = last / 2 + 1;
    }
    ranges[first].first = last;
    ranges[first].second += queries;
  }
  Counts counts;
  for (const auto& [first, range] : ranges) {
    counts.emplace_back(first == range.first ? absl::StrCat(first) : absl::StrCat(first, "-", range.first), range.second);
  }
  return counts;
}

Counts OrderedGrades(const ImportReport& report) {
  Counts counts(report.grades().begin(), report.grades().end());
  std::sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
    const double left = std::strtod(a.first.c_str(), nullptr), right = std::strtod(b.first.c_str(), nullptr);
    return left != right ? left < right : a.first < b.first;
  });
  return counts;
}

std::vector<std::string> ReportWarnings(const ImportReport& report) {
  std::vector<std::string> warnings;
  WarnOfJudgments(report, warnings);
  if (report.train_queries_in_test() > 0) {
    warnings.push_back(absl::StrCat(Plural(report.train_queries_in_test(), "query"),
                                    " of split train with the text of a query of another split: the scores there will be too "
                                    "high. Remove them from train."));
  }
  if (report.false_negative_share() >= kWorryingNegatives) {
    warnings.push_back(absl::StrCat(PercentText(report.false_negative_share()),
                                    " of the hard negatives are a positive of a query. Check how they were mined, or leave "
                                    "them out with data.negatives.per_query: 0 in the job."));
  }
  if (report.empty_texts() > 0) {
    warnings.push_back(absl::StrCat(Plural(report.empty_texts(), "text"), " without a character (",
                                    Plural(report.empty_queries(), "query"),
                                    " of them). Remove these records, or fill them in."));
  }
  if (report.replaced_characters() > 0) {
    warnings.push_back(absl::StrCat(Plural(report.replaced_characters(), "character"),
                                    " not readable, stored as U+FFFD. Check the encoding of the files."));
  }
  WarnOfLengths("query", "queries", report.query_tokens(), warnings);
  WarnOfLengths("passage", "passages", report.passage_tokens(), warnings);
  return warnings;
}

std::string DatasetText(const muster::v1::Dataset& dataset) {
  std::string text =
      absl::StrCat("dataset ", dataset.name(), " (", dataset.digest().substr(0, 12),
                   "): ", Plural(dataset.queries(), "query"), ", ", Plural(dataset.passages(), "passage"), " (",
                   Plural(dataset.unique_passages(), "unique text"), "), ", SizeText(dataset.bytes()), "\n");
  for (const auto& split : dataset.splits()) {
    absl::StrAppend(&text, "  split ", split.name(), ": ", Plural(split.queries(), "query"), ", ",
                    Plural(split.positives(), "positive"), ", ", Plural(split.negatives(), "hard negative"), "\n");
  }
  absl::StrAppend(&text, "  sources: ", absl::StrJoin(dataset.sources(), ", "), "\n");
  if (!dataset.owner().empty()) absl::StrAppend(&text, "  owner: ", dataset.owner(), "\n");
  return text;
}

std::string ImportReportText(const ImportReport& report) {
  std::string text = absl::StrCat("schema ", report.schema(), "\n", DatasetText(report.dataset()));
  if (report.has_added()) {
    const auto& added = report.added();
    text += Line("added", absl::StrCat(Plural(added.judgments(), "judgment"), ", ", Plural(added.queries(), "query"), ", ",
                                       Plural(added.documents(), "document"), "; ",
                                       Plural(added.raised_grades(), "grade"), " raised; ",
                                       Plural(added.repeated_judgments(), "judgment"), " there before"));
  }
  text += Line("positives", absl::StrCat("per query: ", CountsText(PositivesHistogram(report))));
  if (!report.grades().empty()) text += Line("grades", CountsText(OrderedGrades(report)));
  if (!report.sources().empty()) {
    const std::map<std::string, uint64_t> sources(report.sources().begin(), report.sources().end());
    text += Line("judgments", absl::StrCat("of ", CountsText({sources.begin(), sources.end()})));
  }
  text += Line("duplicates", absl::StrCat(PercentText(report.duplicate_share()), " of the passages have another's text"));
  text += Line("negatives", absl::StrCat(PercentText(report.false_negative_share()),
                                         " of the hard negatives are a positive of their own or another query"));
  if (report.has_query_tokens()) text += Line("tokens", absl::StrCat("per query: ", LengthsText(report.query_tokens())));
  if (report.has_passage_tokens()) {
    text += Line("", absl::StrCat("per passage: ", LengthsText(report.passage_tokens())));
  }
  for (const std::string& warning : ReportWarnings(report)) absl::StrAppend(&text, "  warning: ", warning, "\n");
  for (const std::string& message : report.bad_record_messages()) absl::StrAppend(&text, "    ", message, "\n");
  for (const std::string& note : report.notes()) absl::StrAppend(&text, "  note: ", note, "\n");
  return text;
}

}  // namespace muster
