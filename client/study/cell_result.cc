#include "client/study/cell_result.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/progress.h"
#include "client/report/step_table.h"
#include "client/words.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
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

}  // namespace muster
