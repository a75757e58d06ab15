// Which agents can run a job.
#include "common/retrieval/metric_name.h"
#include "common/spec/job_spec.h"
#include "common/spec/label_noise.h"
#include "common/version.h"

namespace muster {
namespace {

using muster::v1::JobSpec;

bool IsNewMetric(const std::string& text) {
  const auto metric = ParseMetricName(text);
  if (!metric.ok()) return false;
  return metric->kind == MetricName::Kind::kPrecision || (metric->cutoff == 0 && metric->kind != MetricName::Kind::kMrr);
}

// Whether the job has a setting of training that ranks below kTrainingAidsProtocol would leave out.
bool NeedsTrainingAids(const JobSpec& spec) {
  const muster::v1::LossSpec& loss = spec.loss();
  return loss.objective() == muster::v1::OBJECTIVE_MEAN1LH || loss.has_false_negatives() || loss.has_distill() ||
         !spec.stages().empty() || spec.optimizer().has_learning_rates() || spec.optimizer().has_layer_decay();
}

// Whether the report has a setting that ranks below kLabelNoiseProtocol cannot read.
bool NeedsReportResults(const muster::v1::ReportSpec& report) { return !report.metrics().empty() || report.run_depth() > 0; }

// Whether the job that stored this checkpoint, or one that stored a checkpoint below it, froze parts of its model.
bool AnyIsFrozen(const muster::v1::ModelCheckpoint& checkpoint) {
  return !checkpoint.model().freeze().empty() || (checkpoint.has_base() && AnyIsFrozen(checkpoint.base()));
}

}  // namespace

uint32_t NeededProtocol(const JobSpec& spec, const muster::v1::ResolvedJob& resolved) {
  // With several training sets, older ranks would only leave the data out of the model's card.
  if (!spec.data().sets().empty() || HasNoise(spec.data()) || NeedsReportResults(spec.report())) return kLabelNoiseProtocol;
  const bool frozen = !spec.model().freeze().empty() || AnyIsFrozen(resolved.model_checkpoint());
  if (spec.has_mine() || frozen || NeedsTrainingAids(spec)) return kTrainingAidsProtocol;
  if (spec.has_evaluate() && IsNewMetric(spec.evaluate().metric())) return kMetricsProtocol;
  return resolved.has_model_checkpoint() ? kModelCheckpointProtocol : 0;
}

}  // namespace muster
