// What a job has stored about its report, as files that other tools read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/query_values.h"
#include "client/report_ids.h"

namespace muster {

// Names of the metrics, in the order of reports.
std::vector<std::string> MetricNamesOf(const QueryValues& values);

// CSV with the columns `number`, `query` (the id; left out without `ids`), and one per metric; a line per query.
// DATA_LOSS: `ids` lacks a query.
absl::StatusOr<std::string> QueryValuesCsv(const QueryValues& values, const std::optional<ReportIds>& ids);

// The content of a stored run (common/retrieval/stored_run.h). FAILED_PRECONDITION: the job has stored none, and why.
absl::StatusOr<std::string> FetchStoredRun(BlobClient& blobs, const muster::v1::Job& job);

// Writes the stored run in TREC's format, with `tag` in its last column: completely or not at all. Scores read back as the same
// float32. DATA_LOSS: `ids` lacks a query or a document. FAILED_PRECONDITION: an id has white space, which the format cannot
// carry.
absl::Status WriteTrecRun(std::string_view stored, const ReportIds& ids, const std::string& tag, const std::string& file);

}  // namespace muster
