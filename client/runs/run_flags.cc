#include "client/runs/run_flags.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/status.h"

namespace muster {
namespace {

const std::vector<std::pair<std::string, RankingRule>>& RankingRules() {
  static const auto* const kRules = new std::vector<std::pair<std::string, RankingRule>>{
      {"muster", RankingRule::kMuster}, {"trec_eval", RankingRule::kTrecEval}};
  return *kRules;
}

// Flags that mean something only for files.
struct FileOptions {
  CLI::Option *qrels, *rule, *duplicates;
};

FileOptions AddAllRunFlags(CLI::App& command, RunFlags& flags, std::vector<std::string> metrics) {
  FileOptions options;
  flags.metrics = std::move(metrics);
  options.qrels = command.add_option("--qrels", flags.qrels, "Judgments, in TREC's or BEIR's format, plain or .gz");
  options.qrels->type_name("FILE");
  command
      .add_option("--metric", flags.metrics,
                  absl::StrCat("ndcg@K, mrr, recall@K, map@K, precision@K, …; may be repeated (", absl::StrJoin(flags.metrics, ", "),
                               ")"))
      ->type_name("METRIC")
      ->allow_extra_args(false);
  options.rule = AddChoice(command, "--rule", flags.rule, RankingRules(),
                           "Whose rule orders equal scores and counts queries: Muster's or trec_eval's (muster)");
  options.duplicates =
      AddChoice(command, "--duplicates", flags.duplicates, {{"refuse", Duplicates::kRefuse}, {"best", Duplicates::kBest}},
                "What to do with a document that a query has twice: refuse it, or count its best score (refuse)");
  command.add_option("--seed", flags.seed, "Seed of what is drawn at random")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--per-query", flags.per_query, "Also write the values of every query to this file, as CSV")->type_name("FILE");
  return options;
}

}  // namespace

void AddRunFlags(CLI::App& command, Cli& cli, RunFlags& flags, std::vector<std::string> metrics) {
  AddAllRunFlags(command, flags, std::move(metrics)).qrels->required();
  AsksNoCluster(&command, cli);
}

void AddOptionalRunFlags(CLI::App& command, Cli& cli, RunFlags& flags, std::vector<std::string> metrics) {
  const FileOptions options = AddAllRunFlags(command, flags, std::move(metrics));
  for (CLI::Option* option : {options.rule, options.duplicates}) OnlyWith(option, options.qrels);
  for (CLI::Option* option : cli.connection_flags) options.qrels->excludes(option);
}

absl::StatusOr<std::vector<MetricName>> MetricsOf(const RunFlags& flags) {
  std::vector<MetricName> metrics;
  for (const std::string& name : flags.metrics) {
    const auto metric = ParseMetricName(name);
    if (!metric.ok()) return WithContext(metric.status(), "--metric");
    if (std::count(flags.metrics.begin(), flags.metrics.end(), name) > 1) {
      return absl::InvalidArgumentError(absl::StrCat("--metric ", name, " is given twice. Leave one out."));
    }
    metrics.push_back(*metric);
  }
  return metrics;
}

absl::Status WritePerQuery(const RunFlags& flags, const std::function<std::string()>& text) {
  if (flags.per_query.empty()) return absl::OkStatus();
  const absl::Status written = WriteFileAtomically(flags.per_query, text());
  return written.ok() ? written : absl::InvalidArgumentError(WithContext(written, "--per-query").message());
}

absl::StatusOr<std::vector<JudgedRun>> ReadRuns(const std::vector<std::string>& files, const RunFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<MetricName> metrics, MetricsOf(flags));
  ASSIGN_OR_RETURN(const Qrels qrels, Qrels::Read(flags.qrels));
  std::vector<JudgedRun> judged;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(const RunFile run, RunFile::Read(file, flags.duplicates));
    ASSIGN_OR_RETURN(judged.emplace_back(), JudgeRun(run, qrels, metrics, flags.rule));
    if (judged.back().queries.size() < 2) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": one query says nothing about others: intervals and tests need at least two that are judged in ",
                       flags.qrels, "."));
    }
  }
  return judged;
}

std::string NameOf(RankingRule rule) {
  for (const auto& [word, value] : RankingRules()) {
    if (value == rule) return word;
  }
  return "";
}

std::vector<std::string> NotesOf(const std::vector<JudgedRun>& runs) {
  std::vector<std::string> notes;
  for (const JudgedRun& run : runs) {
    for (const std::string& note : run.notes) {
      if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
    }
  }
  return notes;
}

void PrintRunNotes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
}

std::string MetricCell(double value) { return absl::StrFormat("%.4f", value); }
std::string DifferenceCell(double value) { return absl::StrFormat("%+.4f", value); }

std::string ExactNumber(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return std::string(text, end);
}

std::string CsvCell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace muster
