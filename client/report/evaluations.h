// Tables of what a job's evaluations measured. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/report/page.h"
#include "client/report/reported_job.h"

namespace muster {

struct EvaluationTable {
  std::string title;  // "scifact/test: 300 queries, 5,183 documents"
  Rows rows;
};
// A table per set that the job evaluated: metrics of the first and of the last evaluation, and what changed; where there were
// more than two, also the best value and its evaluation.
std::vector<EvaluationTable> EvaluationTablesOf(const muster::v1::Job& job);

// Rows of the last evaluation of each set, one row per metric, one column per job. Sets are the same if name, split and
// content are. `labels` has a name per job.
Rows FinalMetricRows(absl::Span<const ReportedJob> jobs, absl::Span<const std::string> labels);

}  // namespace muster
