// ImportReportHtml: the report as a page.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/html_text.h"
#include "client/import_report.h"
#include "client/words.h"

namespace muster {
namespace {

using muster::v1::ImportReport;
using muster::v1::LengthSummary;
using Counts = std::vector<std::pair<std::string, uint64_t>>;

constexpr absl::string_view kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.5rem;margin-bottom:0}h2{font-size:1.1rem;margin-top:2rem}.sub{color:#666;margin-top:.2rem}"
    "table{border-collapse:collapse}th,td{padding:.2rem .8rem .2rem 0;text-align:right;vertical-align:top}"
    "th:first-child,td:first-child{text-align:left}th{font-weight:600;border-bottom:1px solid #ccc}"
    ".bar{width:24rem;text-align:left}.bar div{background:#4a7ebb;height:.9em;min-width:1px}"
    ".warnings{background:#fff4e5;border-left:4px solid #d9822b;padding:.5rem 1rem}"
    ".ok{background:#edf7ed;border-left:4px solid #4caf50;padding:.5rem 1rem}"
    "li{overflow-wrap:anywhere}code{overflow-wrap:anywhere}";

std::string Cell(absl::string_view text) { return absl::StrCat("<td>", EscapedHtml(text), "</td>"); }
std::string Number(uint64_t number) { return Cell(WithThousands(number)); }

// One row per count, with a bar whose length is its share of the largest count.
std::string BarTable(const std::string& title, const char* label, const char* unit, const Counts& counts) {
  if (counts.empty()) return "";
  uint64_t largest = 1;
  for (const auto& [name, count] : counts) largest = std::max(largest, count);
  std::string html = absl::StrCat(title, "<table><tr><th>", label, "</th><th>", unit, "</th><th></th></tr>\n");
  for (const auto& [name, count] : counts) {
    const double width = 100 * static_cast<double>(count) / static_cast<double>(largest);
    absl::StrAppend(&html, "<tr>", Cell(name), Number(count),
                    absl::StrFormat("<td class=\"bar\"><div style=\"width:%.1f%%\"></div></td></tr>\n", width));
  }
  return html + "</table>\n";
}

std::string Splits(const std::string& title, const muster::v1::Dataset& dataset) {
  std::string html =
      absl::StrCat(title, "<table><tr><th>split</th><th>queries</th><th>positives</th><th>hard negatives</th></tr>\n");
  for (const auto& split : dataset.splits()) {
    absl::StrAppend(&html, "<tr>", Cell(split.name()), Number(split.queries()), Number(split.positives()),
                    Number(split.negatives()), "</tr>\n");
  }
  return html + "</table>\n";
}

std::string LengthRow(const char* what, const LengthSummary& lengths) {
  return absl::StrCat("<tr>", Cell(what), Number(lengths.texts()), Number(lengths.all_texts()), Number(lengths.median()),
                      Number(lengths.percentile_95()), Number(lengths.longest()), Number(lengths.limit()),
                      Number(lengths.truncated()), "</tr>\n");
}

std::string Lengths(const std::string& title, const ImportReport& report) {
  if (!report.has_query_tokens() && !report.has_passage_tokens()) return "";
  return absl::StrCat(
      title, "<table><tr><th></th><th>counted</th><th>of</th><th>median</th><th>95 % up to</th>"
      "<th>longest</th><th>limit</th><th>longer</th></tr>\n",
      LengthRow("queries", report.query_tokens()), LengthRow("passages", report.passage_tokens()), "</table>\n");
}

std::string Shares(const std::string& title, const ImportReport& report) {
  std::string html = title + "<table>\n";
  const auto row = [&](absl::string_view label, const std::string& value) {
    absl::StrAppend(&html, "<tr>", Cell(label), Cell(value), "</tr>\n");
  };
  row("schema", report.schema());
  row("passages with another's text", PercentText(report.duplicate_share()));
  row("hard negatives that are a positive of a query", PercentText(report.false_negative_share()));
  row("empty texts", WithThousands(report.empty_texts()));
  row("queries without a positive", WithThousands(report.queries_without_positive()));
  row("queries of train in another split", WithThousands(report.train_queries_in_test()));
  row("queries that are documents", WithThousands(report.queries_that_are_documents()));
  row("pairs with two grades", WithThousands(report.conflicting_judgments()));
  row("judgments without their query", WithThousands(report.judgments_without_query()));
  row("judgments without their document", WithThousands(report.judgments_without_document()));
  row("replaced characters", WithThousands(report.replaced_characters()));
  row("bad records left out", WithThousands(report.bad_records()));
  if (report.has_added()) {
    row("added judgments", WithThousands(report.added().judgments()));
    row("added queries", WithThousands(report.added().queries()));
    row("added documents", WithThousands(report.added().documents()));
    row("raised grades", WithThousands(report.added().raised_grades()));
    row("judgments that the dataset already had", WithThousands(report.added().repeated_judgments()));
  }
  return html + "</table>\n";
}

template <typename Texts>
std::string List(const std::string& title, const Texts& texts) {
  if (texts.empty()) return "";
  std::string html = absl::StrCat(title, "<ul>\n");
  for (const std::string& text : texts) absl::StrAppend(&html, "<li>", EscapedHtml(text), "</li>\n");
  return html + "</ul>\n";
}

std::string Warnings(const ImportReport& report) {
  const std::vector<std::string> warnings = ReportWarnings(report);
  if (warnings.empty()) return "<p class=\"ok\">No warnings.</p>\n";
  std::string html = "<div class=\"warnings\"><strong>Warnings</strong><ul>\n";
  for (const std::string& warning : warnings) absl::StrAppend(&html, "<li>", EscapedHtml(warning), "</li>\n");
  return html + "</ul></div>\n";
}

}  // namespace

std::string ImportReportSections(const ImportReport& report, const std::string& heading) {
  const auto title = [&heading](const char* text) { return absl::StrCat("<", heading, ">", text, "</", heading, ">"); };
  const std::map<std::string, uint64_t> sources(report.sources().begin(), report.sources().end());
  return absl::StrCat(Warnings(report), Splits(title("Splits"), report.dataset()),
                      BarTable(title("Positives per query"), "positives", "queries", PositivesHistogram(report)),
                      BarTable(title("Grades"), "grade", "judgments", OrderedGrades(report)),
                      BarTable(title("Sources"), "source", "judgments", {sources.begin(), sources.end()}),
                      Lengths(title("Tokens per text"), report), Shares(title("Content"), report),
                      List(title("Bad records"), report.bad_record_messages()), List(title("Notes"), report.notes()));
}

std::string ImportReportHtml(const ImportReport& report) {
  const muster::v1::Dataset& dataset = report.dataset();
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Dataset ", EscapedHtml(dataset.name()),
      "</title><style>", kStyle, "</style></head><body>\n<h1>Dataset ", EscapedHtml(dataset.name()), "</h1>\n<p class=\"sub\">",
      Plural(dataset.queries(), "query"), ", ", Plural(dataset.passages(), "passage"), " (",
      Plural(dataset.unique_passages(), "unique text"), "), ", SizeText(dataset.bytes()), "<br>digest <code>",
      EscapedHtml(dataset.digest()), "</code></p>\n", ImportReportSections(report, "h2"), "</body></html>\n");
}

}  // namespace muster
