// Values by query that a job with a report has stored (common/query_values_file.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct QueryValues {
  std::vector<uint32_t> queries;                      // their numbers in the evaluation, ascending
  std::map<std::string, std::vector<double>> values;  // metric → one per query, from 0 to 1
};

// Reads the file of common/query_values_file.h. DATA_LOSS names the line.
absl::StatusOr<QueryValues> ParseQueryValues(const std::string& text);

// The values that the job has stored. FAILED_PRECONDITION: it has stored none, and why.
absl::StatusOr<QueryValues> FetchQueryValues(BlobClient& blobs, const muster::v1::Job& job);

// The evaluation that they belong to: that of the trained model, or of the model that an evaluation job measured. Null if it
// has not been made.
const muster::v1::Evaluation* ReportOf(const muster::v1::Job& job);

}  // namespace muster
