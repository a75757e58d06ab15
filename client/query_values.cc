#include "client/query_values.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/progress.h"
#include "client/stored_file.h"
#include "client/words.h"
#include "common/query_values_file.h"
#include "common/spec/job_spec.h"
#include "common/status.h"

namespace muster {
namespace {

absl::Status BrokenValues(size_t line) {
  return absl::DataLossError(absl::StrCat(kQueryValuesFile, ":", line + 1, ": is not a line of values"));
}

absl::Status NoValues(const muster::v1::Job& job) {
  const std::string name = absl::StrCat("job ", job.id(), " (", job.spec().name(), ")");
  if (!job.spec().has_report()) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, " has no report, and so no values by query. Measure its model: muster eval job:", job.id(),
                     " DATASET."));
  }
  if (!IsOver(job.phase())) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, " is ", WordOf(job.phase()), ". Its values by query are stored at its end: muster watch ", job.id(),
                     "."));
  }
  if (job.phase() != muster::v1::JOB_PHASE_SUCCEEDED) {
    return absl::FailedPreconditionError(absl::StrCat(name, " is ", WordOf(job.phase()),
                                                      ", and has stored no values by query."));
  }
  return absl::FailedPreconditionError(
      absl::StrCat(name, " has stored no values by query: its workers have an older version, or could not store them (muster "
                         "logs ", job.id(), " --rank 0). Measure the model again with muster eval."));
}

}  // namespace

absl::StatusOr<QueryValues> ParseQueryValues(const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  if (lines.empty()) return BrokenValues(0);
  const std::vector<std::string> header = absl::StrSplit(lines[0], ',');
  if (header[0] != "query") return BrokenValues(0);
  QueryValues result;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = absl::StrSplit(lines[i], ',');
    uint32_t query = 0;
    if (cells.size() != header.size() || !absl::SimpleAtoi(cells[0], &query)) return BrokenValues(i);
    if (!result.queries.empty() && query <= result.queries.back()) return BrokenValues(i);
    result.queries.push_back(query);
    for (size_t m = 1; m < header.size(); ++m) {
      double value = 0;
      if (!absl::SimpleAtod(cells[m], &value) || !(value >= 0 && value <= 1)) return BrokenValues(i);
      result.values[header[m]].push_back(value);
    }
  }
  return result;
}

absl::StatusOr<QueryValues> FetchQueryValues(BlobClient& blobs, const muster::v1::Job& job) {
  if (job.step_log_manifest().empty() || job.phase() != muster::v1::JOB_PHASE_SUCCEEDED) return NoValues(job);
  ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadStoredFile(blobs, job.step_log_manifest(), kQueryValuesFile));
  if (!text.has_value()) return NoValues(job);
  absl::StatusOr<QueryValues> values = ParseQueryValues(*text);
  if (!values.ok()) return WithContext(values.status(), absl::StrCat("job ", job.id()));
  return values;
}

const muster::v1::Evaluation* ReportOf(const muster::v1::Job& job) {
  const muster::v1::Evaluation* found = nullptr;
  for (const muster::v1::Evaluation& evaluation : job.evaluations()) {
    if (evaluation.label() == "trained" || EvaluatesOnly(job.spec())) found = &evaluation;
  }
  return found;
}

}  // namespace muster
