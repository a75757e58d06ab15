// Shared by the commands that read run files: flags, and reading.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli.h"
#include "common/retrieval/judged_run.h"

namespace muster {

struct RunFlags {
  std::string qrels;
  std::vector<std::string> metrics;
  RankingRule rule = RankingRule::kMuster;
  Duplicates duplicates = Duplicates::kRefuse;
  uint64_t seed = 0;
  std::string per_query;  // a file, or empty
};

// Adds the flags to a command, which needs no cluster. `metrics`: the default for --metric.
void AddRunFlags(CLI::App& command, Cli& cli, RunFlags& flags, std::vector<std::string> metrics);
// The same for a command that reads files only with --qrels, and asks the cluster otherwise.
void AddOptionalRunFlags(CLI::App& command, Cli& cli, RunFlags& flags, std::vector<std::string> metrics);

// INVALID_ARGUMENT for a name in --metric that is not one, or is given twice.
absl::StatusOr<std::vector<MetricName>> MetricsOf(const RunFlags& flags);

// Reads judgments and runs, one run after the other, and judges them. INVALID_ARGUMENT for wrong files and metrics, and for
// fewer than two judged queries, which have no spread.
absl::StatusOr<std::vector<JudgedRun>> ReadRuns(const std::vector<std::string>& files, const RunFlags& flags);

// "muster" or "trec_eval".
std::string NameOf(RankingRule rule);

// Writes the file of --per-query, if the flag is set. INVALID_ARGUMENT names the flag.
absl::Status WritePerQuery(const RunFlags& flags, const std::function<std::string()>& text);

// The notes of all runs, each once.
std::vector<std::string> NotesOf(const std::vector<JudgedRun>& runs);
void PrintRunNotes(const std::vector<std::string>& notes);  // on standard error

// Cells of tables and of CSV files.
std::string MetricCell(double value);         // 0.6451
std::string DifferenceCell(double value);     // +0.0213
std::string ExactNumber(double value);        // all digits
std::string CsvCell(const std::string& text);  // in quotes where needed

}  // namespace muster
