#include "worker/rank/link/rank_run.h"

#include <memory>
#include <optional>
#include <string>

#include "common/spec/job_spec.h"
#include "common/status.h"
#include "worker/rank/link/early_stop.h"
#include "worker/rank/link/exit_cause.h"
#include "worker/rank/link/export_run.h"
#include "worker/rank/link/mining_run.h"
#include "worker/rank/link/rank_parts.h"
#include "worker/rank/link/restore_newest.h"
#include "worker/rank/link/store_results.h"
#include "worker/rank/link/training_loop.h"

namespace muster {
namespace {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;
using muster::rank::v1::RankResult;
using muster::v1::Evaluation;

absl::Status ReportStart(RankParts& parts) {
  parts.board.SetStep(parts.cursor.step);
  RankMessage started;
  started.mutable_started()->set_rank(parts.config.rank());
  return parts.agent.Send(started);
}

// Fills `results` if the job only evaluates.
absl::Status EvaluateBeforeTraining(RankParts& parts, ReportResults& results) {
  const muster::v1::JobSpec& spec = parts.spec;
  if (parts.cursor.step != 0 || !spec.has_report()) return absl::OkStatus();
  // A job that only evaluates may measure a trained model, so its label names what it measures.
  const bool alone = EvaluatesOnly(spec);
  const std::string& measured = spec.model().from().empty() ? spec.model().preset() : spec.model().from();
  ASSIGN_OR_RETURN(parts.cursor.untrained, parts.Evaluate(alone ? measured : "untrained", spec.report(),
                                                          parts.config.resolved().report_dataset(),
                                                          alone ? &results : nullptr));
  return absl::OkStatus();
}

absl::Status Export(RankParts& parts, const std::optional<Evaluation>& trained, const ReportResults& results) {
  parts.progress.Activity("exporting");
  const std::optional<muster::internal::v1::StoppedEarly> stopped =
      EarlyStopOf(parts.spec, parts.stages, parts.cursor);
  ASSIGN_OR_RETURN(const std::string manifest,
                   ExportModel(parts.config, *parts.encoder, parts.tokenizer, parts.cursor.untrained, trained, stopped,
                               *parts.blobs));
  RankMessage message;
  message.mutable_exported()->set_manifest(manifest);
  if (stopped.has_value()) *message.mutable_exported()->mutable_stopped_early() = *stopped;
  message.mutable_exported()->set_step_log(StoredStepLog(parts.steps, results, parts.config.scratch(), *parts.blobs));
  return parts.agent.Send(message);
}

// Loads the best parameters if there are evaluations, so that report and export describe the same weights.
absl::Status EvaluateAndExport(RankParts& parts) {
  if (!parts.best.empty()) RETURN_IF_ERROR(AssignParameters(parts.best, parts.encoder->parameters()));
  std::optional<Evaluation> trained;
  ReportResults results;
  if (parts.spec.has_report()) {
    ASSIGN_OR_RETURN(trained,
                     parts.Evaluate("trained", parts.spec.report(), parts.config.resolved().report_dataset(), &results));
  }
  if (parts.config.rank() == 0) {
    parts.writer->Wait().IgnoreError();  // logged; the export has the weights
    RETURN_IF_ERROR(Export(parts, trained, results));
  }
  // The job succeeds with the other ranks only if the export is stored.
  const absl::Status exported = parts.group->Barrier();
  return parts.config.rank() == 0 ? absl::OkStatus() : exported;
}

// Returns a human-readable note about a run that succeeded; equal on all ranks.
absl::StatusOr<std::string> Train(RankParts& parts) {
  RETURN_IF_ERROR(RestoreNewest(parts));
  RETURN_IF_ERROR(ReportStart(parts));
  if (MinesOnly(parts.spec)) return RunMining(parts.ContextOfEvaluation(), *parts.blobs, parts.stop);
  ReportResults results;
  RETURN_IF_ERROR(EvaluateBeforeTraining(parts, results));
  if (ExportsOnly(parts.spec)) {
    RETURN_IF_ERROR(StoreModel(parts.config, parts.model_folder, *parts.blobs, parts.agent, *parts.group));
    return "";
  }
  if (EvaluatesOnly(parts.spec)) {
    parts.progress.Activity("storing the results");
    RETURN_IF_ERROR(StoreReport(parts.config, results, *parts.blobs, parts.agent, *parts.group));
    return "";
  }
  TrainingLoop loop(parts);
  RETURN_IF_ERROR(loop.Run());
  RETURN_IF_ERROR(EvaluateAndExport(parts));
  return loop.Note();
}

}  // namespace

RankResult RunRank(const RankConfig& config, AgentPipe& agent, const Clock& clock, const std::atomic<StopRequest>& stop) {
  auto parts = RankParts::Make(config, agent, clock, stop);
  const absl::StatusOr<std::string> note = parts.ok() ? Train(**parts) : absl::StatusOr<std::string>(parts.status());
  absl::Status status = note.status();
  // A rank that was asked to stop may see a peer leave first.
  if (!status.ok() && stop.load() != StopRequest::kNone) status = absl::CancelledError(status.message());
  RankResult result;
  result.set_cause(CauseOf(status));
  result.set_message(status.ok() ? *note : std::string(status.message()));
  return result;
}

}  // namespace muster
