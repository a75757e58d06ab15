// The metrics of a run, query by query.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/retrieval/metrics.h"
#include "common/retrieval/qrels.h"
#include "common/retrieval/run_file.h"

namespace muster {

struct JudgedRun {
  std::vector<std::string> queries;         // those that count, in the order of the judgments
  std::vector<std::vector<double>> values;  // [metric][query]
  std::vector<std::string> notes;           // human-readable: what was left out or counts 0; each is one sentence
};

// Which queries count:
//   kMuster    every query with a relevant document; one that the run lacks counts as 0, so that a run cannot improve by
//              leaving out hard queries
//   kTrecEval  every query that run and judgments share, also those without a relevant document, which have 0
// INVALID_ARGUMENT if no query counts, or the run has none of the judged queries.
absl::StatusOr<JudgedRun> JudgeRun(const RunFile& run, const Qrels& qrels, const std::vector<MetricName>& metrics,
                                   RankingRule rule);

}  // namespace muster
