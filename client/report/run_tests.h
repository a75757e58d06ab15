// Compares rankings of the jobs' models query by query: means with intervals, and tests against the first job. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/runs/comparison.h"
#include "common/retrieval/judged_run.h"

namespace muster {

struct RunTests {
  std::string qrels;                 // the file of the judgments
  std::vector<std::string> files;    // the file of each run
  std::vector<std::string> metrics;
  size_t queries = 0;
  std::vector<std::vector<MeanOfRun>> means;             // [run][metric]
  std::vector<std::vector<MetricComparison>> with_first;  // [run][metric]; empty for the first run. p_holm covers all of them
  std::vector<std::string> notes;
};

// The runs must have the same queries, at least two, and a value for each metric (RankingRule::kMuster). `seed`: that of
// CompareRuns.
RunTests TestRuns(std::string qrels, std::vector<std::string> files, std::vector<std::string> metrics,
                  absl::Span<const JudgedRun> runs, uint64_t seed);

// HTML; `labels` has a name per run. "" without runs.
std::string RunTestsHtml(const RunTests& tests, absl::Span<const std::string> labels);

}  // namespace muster
