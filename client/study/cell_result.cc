#include "client/study/cell_result.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/progress.h"
#include "client/report/step_table.h"
#include "client/words.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/query_values_file.h"
#include "common/spec/job_spec.h"
#include "common/spec/training_sets.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::Evaluation;
using muster::v1::Job;

std::string SettingsOf(const Job& job) {
  muster::v1::JobSpec spec = job.spec();
  spec.clear_name();
  spec.clear_seed();
  return Sha256Hex(absl::StrCat(DeterministicBytes(spec), "\n", absl::StrJoin(TrainingDatasetsOf(job.resolved()), " "), "\n",
                                job.resolved().model_manifest(), "\n", job.resolved().tokenizer()));
}

void TakeMetrics(const Evaluation& evaluation, std::map<std::string, double>& metrics) {
  metrics.clear();
  for (const auto& [name, value] : evaluation.metrics()) metrics[name] = value;
}

}  // namespace

CellResult ResultOf(const Job& job) {
  CellResult result;
  if (!IsOver(job.phase())) {
    result.state = "not ended";
    return result;
  }
  result.state = WordOf(job.phase());
  if (job.phase() != muster::v1::JOB_PHASE_SUCCEEDED) return result;
  result.settings = SettingsOf(job);
  result.digest = job.resolved().report_dataset();
  for (const Evaluation& evaluation : job.evaluations()) {
    if (evaluation.label() == "untrained") TakeMetrics(evaluation, result.untrained);
    if (evaluation.label() != "trained" && !EvaluatesOnly(job.spec())) continue;
    TakeMetrics(evaluation, result.trained);
    result.dataset = evaluation.dataset();
    result.split = evaluation.split();
    result.queries = evaluation.queries();
    result.documents = evaluation.documents();
    result.done = true;
  }
  return result;
}

std::optional<double> NoiseWeightOf(const std::string& step_log) {
  const auto steps = StepTable::FromStepLog(step_log);
  if (!steps.ok() || steps->steps().empty()) return std::nullopt;
  const std::vector<double>& weights = steps->Column("noise_weight");
  double sum = 0;
  size_t count = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (2 * steps->steps()[i] <= steps->steps().back() || !std::isfinite(weights[i])) continue;
    sum += weights[i];
    ++count;
  }
  return count == 0 ? std::nullopt : std::optional(sum / static_cast<double>(count));
}

absl::StatusOr<std::map<std::string, std::vector<double>>> ParseQueryValues(const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  const auto broken = [](size_t line) {
    return absl::DataLossError(absl::StrCat(kQueryValuesFile, ":", line + 1, ": is not a line of values"));
  };
  if (lines.empty()) return broken(0);
  const std::vector<std::string> header = absl::StrSplit(lines[0], ',');
  if (header[0] != "query") return broken(0);
  std::map<std::string, std::vector<double>> values;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = absl::StrSplit(lines[i], ',');
    if (cells.size() != header.size()) return broken(i);
    for (size_t m = 1; m < header.size(); ++m) {
      double value = 0;
      if (!absl::SimpleAtod(cells[m], &value) || !(value >= 0 && value <= 1)) return broken(i);
      values[header[m]].push_back(value);
    }
  }
  return values;
}

}  // namespace muster
