// muster-metrics-doc: writes docs/reference/metrics.md from the catalogue, checks that the file is what it would write, or
// prints the catalogue as JSON for tests and generators.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/metrics/catalogue.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr char kIntroduction[] =
    "# Metrics\n"
    "\n"
    "Written by `muster-metrics-doc` from the catalogue in `common/metrics`; a test fails when it is not up to date.\n"
    "\n"
    "Each server answers Prometheus on a port of its own at `/metrics`: muster-coordinator on 7071, muster-data on 7073,\n"
    "muster-worker on 7075. Ranks are not scraped: they report through their agent to the coordinator. Names have base\n"
    "units, counters end with `_total`. A label has a closed set of values, or comes from where it says below and goes\n"
    "away with it. Families marked with * are absent until there is something to say, or where it cannot be said; all\n"
    "others are there from the first scrape.\n";

constexpr MetricProgram kPrograms[] = {MetricProgram::kCoordinator, MetricProgram::kData, MetricProgram::kWorker};

std::string Cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell.push_back('\\');
    cell.push_back(c);
  }
  return cell;
}

std::string LabelsCell(const MetricFamily& family) {
  std::vector<std::string> labels;
  for (const MetricLabel& label : family.labels) {
    std::string text = absl::StrCat("`", ToAbsl(label.name), "`: ");
    if (!label.values.empty()) {
      text += absl::StrJoin(label.values, ", ", [](std::string* out, std::string_view value) { out->append(value); });
      if (!label.source.empty()) absl::StrAppend(&text, " (", ToAbsl(label.source), ")");
    } else {
      text.append(label.source);
    }
    labels.push_back(Cell(text));
  }
  return labels.empty() ? "" : absl::StrJoin(labels, "<br>");
}

std::string Row(const MetricFamily& family) {
  std::string help(family.help);
  if (!family.buckets.empty()) absl::StrAppend(&help, " Buckets: ", absl::StrJoin(family.buckets, ", "), ".");
  return absl::StrCat("| `", ToAbsl(family.name), "`", family.presence == MetricPresence::kEvent ? " *" : "", " | ",
                      ToAbsl(MetricTypeName(family.type)), " | ", ToAbsl(family.unit), " | ", LabelsCell(family), " | ",
                      Cell(help), " |\n");
}

std::string Document() {
  std::string text = kIntroduction;
  for (const MetricProgram program : kPrograms) {
    absl::StrAppend(&text, "\n## ", ToAbsl(MetricProgramName(program)), "\n\n| name | type | unit | labels | meaning |\n",
                    "|---|---|---|---|---|\n");
    for (const MetricFamily& family : MetricCatalogue()) {
      if ((family.programs & static_cast<unsigned>(program)) != 0) text += Row(family);
    }
  }
  return text;
}

std::string AsJson() {
  nlohmann::json all = nlohmann::json::array();
  for (const MetricFamily& family : MetricCatalogue()) {
    nlohmann::json labels = nlohmann::json::array();
    for (const MetricLabel& label : family.labels) {
      labels.push_back({{"name", label.name}, {"values", label.values}, {"source", label.source}});
    }
    nlohmann::json programs = nlohmann::json::array();
    for (const MetricProgram program : kPrograms) {
      if ((family.programs & static_cast<unsigned>(program)) != 0) programs.push_back(MetricProgramName(program));
    }
    all.push_back({{"name", family.name},
                   {"type", MetricTypeName(family.type)},
                   {"unit", family.unit},
                   {"help", family.help},
                   {"labels", labels},
                   {"buckets", family.buckets},
                   {"programs", programs},
                   {"from_start", family.presence == MetricPresence::kStart}});
  }
  return all.dump(1) + "\n";
}

int Main(int argc, char** argv) {
  std::string write, check;
  bool json = false;
  CLI::App app("Writes or checks docs/reference/metrics.md, or prints the catalogue of metrics as JSON.", "muster-metrics-doc");
  app.add_option("--write", write, "file to write");
  app.add_option("--check", check, "file to compare; exit code 1 if it is not up to date");
  app.add_flag("--json", json, "print the catalogue as JSON");
  if (const std::optional<int> code = ParseFlags(app, argc, argv)) return *code;
  if (json) std::fputs(AsJson().c_str(), stdout);
  if (!write.empty()) {
    const absl::Status status = WriteFileAtomically(write, Document());
    if (!status.ok()) std::fprintf(stderr, "muster-metrics-doc: %s\n", std::string(status.message()).c_str());
    if (!status.ok()) return kExitJobFailed;
  }
  if (!check.empty()) {
    const auto text = ReadFile(check);
    if (!text.ok() || *text != Document()) {
      std::fprintf(stderr, "%s is not up to date. Run: muster-metrics-doc --write %s\n", check.c_str(), check.c_str());
      return kExitJobFailed;
    }
  }
  return kExitSucceeded;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) { return muster::Main(argc, argv); }
