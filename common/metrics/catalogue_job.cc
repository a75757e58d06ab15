// Families with a job's id: their series appear with the job and end with it. At most 1000 jobs have series: those that
// hold slots before those that wait, each in the order of submission.
#include <utility>

#include "common/metrics/catalogue.h"

namespace muster {
namespace {

constexpr std::string_view kJobs =
    "jobs that have not ended, at most 1000: those that hold slots first, then by submission; gone at the job's end";
constexpr std::string_view kSteps =
    "jobs that have not ended and whose attempt has done a step, at most 1000; gone at the job's end";

MetricFamily OfJob(std::string_view name, std::string_view unit, std::string_view help, std::string_view source,
                   std::vector<MetricLabel> labels = {}) {
  labels.insert(labels.begin(), {"job", {}, source});
  return {.name = name,
          .type = MetricType::kGauge,
          .unit = unit,
          .help = help,
          .labels = std::move(labels),
          .buckets = {},
          .programs = kCoordinatorServes,
          .presence = MetricPresence::kEvent};
}

}  // namespace

std::vector<MetricFamily> JobMetricFamilies() {
  return {
      OfJob("muster_job_info", "1",
            "Always 1; the labels say which job the id is.",
            kJobs, {{"name", {}, "the job's own"}, {"queue", {}, "the job's own"}, {"owner", {}, "the job's own"}}),
      OfJob("muster_job_attempt", "number",
            "Number of the newest attempt; 0 before the first.",
            kJobs),
      OfJob("muster_job_slots", "slots",
            "Slots that the job holds.",
            kJobs),
      OfJob("muster_job_waiting_seconds", "seconds",
            "How long the job has waited for slots; 0 while it does not wait.",
            kJobs),
      OfJob("muster_job_placeable", "boolean",
            "1 while the job waits although its minimum of slots is free; 0 otherwise.",
            kJobs),
      OfJob("muster_job_step", "steps",
            "Steps done.",
            kSteps),
      OfJob("muster_job_total_steps", "steps",
            "Steps that the job will have done at its end.",
            kJobs),
      OfJob("muster_job_epoch", "epochs",
            "Passes over the training data, as a fraction. In a job with stages: over the data of the current one.",
            kSteps),
      OfJob("muster_job_stage", "number",
            "Number of the current stage, from 1; 0: the job has no stages.",
            kSteps),
      OfJob("muster_job_loss", "nats",
            "Loss of the last step.",
            kSteps),
      OfJob("muster_job_learning_rate", "1",
            "Learning rate of the last step.",
            kSteps),
      OfJob("muster_job_gradient_norm", "1",
            "Norm of the gradient of the last step, before clipping.",
            kSteps),
      OfJob("muster_job_evaluation", "ratio",
            "Metrics of the job's newest evaluation of each dataset and split.",
            kSteps, {{"dataset", {}, "the datasets of the job's evaluate and report sections: at most two"},
                     {"split", {}, "the split of that section"},
                     {"metric", {}, "the metrics that the job's evaluations report, such as ndcg@10"}}),
      OfJob("muster_job_queries_per_second", "queries per second",
            "Queries of the last step divided by its duration.",
            kSteps),
      OfJob("muster_job_tokens_per_second", "tokens per second",
            "Tokens of the last step divided by its duration.",
            kSteps),
      OfJob("muster_job_progress_age_seconds", "seconds",
            "Time since the last progress, while the job trains. Stops while it waits for a data server that nobody can "
            "reach.",
            kSteps),
      OfJob("muster_job_checkpoint_age_seconds", "seconds",
            "Time since the last checkpoint while the job trains (before the attempt's first: since its start): "
            "what a failure would lose.",
            kSteps),
      OfJob("muster_job_checkpoint_step", "steps",
            "Step of the newest checkpoint.",
            kJobs),
      OfJob("muster_job_positive_entropy_nats", "nats",
            "Mean entropy of the weights over a query's positives in the last step's gradient.",
            kSteps),
      OfJob("muster_job_effective_positives", "positives",
            "How many positives carry the weight of the last step's gradient: exp of the entropy.",
            kSteps),
      OfJob("muster_job_positive_weight", "ratio",
            "Mean share of the last step's gradient over a query's positives that the positive at this place has, in "
            "descending order of similarity.",
            kSteps, {{"place", {"1", "2", "3", "4", "5", "6", "7", "8"}, ""}}),
      OfJob("muster_job_noise_weight", "ratio",
            "Share of the last step's gradient over positives that falls on those which data.noise put there.",
            kSteps),
      OfJob("muster_job_mean_similarity", "similarity",
            "Mean similarity of the last step's pairs, before the temperature.",
            kSteps, {{"kind", {"positive", "negative"}, ""}}),
      OfJob("muster_job_ignored_pairs", "pairs",
            "Pairs that the last step ignored because they may be positives.",
            kSteps),
      OfJob("muster_job_step_seconds", "seconds",
            "Time of rank 0 in the last step, by phase.",
            kSteps, {{"phase", {"data", "encode", "gather", "loss", "backward", "reduce", "optimise", "other"}, ""}}),
      OfJob("muster_job_rank_skew_seconds", "seconds",
            "The slowest rank's own work minus the fastest one's, in the step before the last.",
            kSteps),
      OfJob("muster_job_product_share", "ratio",
            "How well rank 0's last step used its device: its floating-point operations per second, divided by those of a "
            "large matrix product measured when the attempt began.",
            kSteps),
      OfJob("muster_job_peak_memory_bytes", "bytes",
            "Peak memory of rank 0 since its start: allocated on its GPU, or resident on a CPU.",
            kSteps),
      OfJob("muster_job_gathered_bytes", "bytes",
            "Bytes of embeddings that a rank gathered in the last step.",
            kSteps),
  };
}

}  // namespace muster
