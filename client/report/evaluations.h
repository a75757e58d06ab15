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
// One table per dataset split that the job evaluated: the metrics of the first and the last evaluation, and their difference.
// If there were more than two evaluations, also the best value and when it was reached.
std::vector<EvaluationTable> EvaluationTablesOf(const muster::v1::Job& job);

// The metrics of each set's last evaluation: one row per set and metric, one column per job. Two jobs evaluated the same set
// if its name, split and content are the same. `labels` has a name per job.
Rows FinalMetricRows(absl::Span<const ReportedJob> jobs, absl::Span<const std::string> labels);

}  // namespace muster
