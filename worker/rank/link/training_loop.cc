#include "worker/rank/link/training_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "worker/rank/link/early_stop.h"
#include "worker/rank/link/epoch_ledger.h"
#include "worker/rank/link/share_stream.h"
#include "worker/rank/link/step_trace.h"
#include "worker/rank/train/step_cost.h"

namespace muster {
namespace {

using muster::rank::v1::RankMessage;

constexpr absl::Duration kDataPatience = absl::Seconds(5);

}  // namespace

absl::Status TrainingLoop::Run() {
  const TrainingCursor& cursor = parts_.cursor;
  const uint64_t total_steps = parts_.TotalSteps();
  const auto batches = StartBatches();
  // An attempt that was asked to stop saved its last step before that step's evaluation.
  if (cursor.step > 0 && cursor.evaluations_done < EvaluationsDue(parts_.spec, cursor.step, total_steps)) {
    RETURN_IF_ERROR(EvaluateIfDue(cursor.step == total_steps));
  }
  if (parts_.config.rank() == 0) product_rate_ = MeasureProductRate(parts_.encoder->config(), parts_.encoder->options());
  AdvisePrecision();
  StepTrace trace(parts_.config, total_steps - std::min(total_steps, cursor.step), !parts_.device.device.is_cpu(),
                  *parts_.blobs, parts_.agent);
  while (cursor.step < total_steps && !StopsEarly(parts_.spec, parts_.stages, cursor)) {
    BeginStageIfDue();
    trace.BeforeStep();
    ASSIGN_OR_RETURN(const Taken taken, TakeStep(*batches));
    const StopRequest stop = taken.report.stop;
    trace.AfterStep(taken.last || stop != StopRequest::kNone);
    RETURN_IF_ERROR(Record(taken));
    if (stop != StopRequest::kNone) return Stop(stop);
    RETURN_IF_ERROR(EvaluateIfDue(taken.last));
    const bool ends = taken.last || StopsEarly(parts_.spec, parts_.stages, cursor);
    if (ends || cursor.step % parts_.spec.checkpoint().every_steps() == 0) RETURN_IF_ERROR(Checkpoint(/*must=*/ends));
  }
  return absl::OkStatus();
}

std::string TrainingLoop::Note() const {
  std::vector<std::string> notes;
  const TrainingCursor& cursor = parts_.cursor;
  if (cursor.best_metric.has_value()) {
    notes.push_back(absl::StrFormat("the export has the weights of step %d, the best by %s (%.4f)", cursor.best_step,
                                    parts_.spec.evaluate().metric(), *cursor.best_metric));
  }
  if (steps_without_negative_ > 0) {
    notes.push_back(
        absl::StrCat(steps_without_negative_, " of the last ", steps_taken_, " steps had no negative to learn from"));
  }
  return absl::StrJoin(notes, "; ");
}

std::unique_ptr<BatchSource> TrainingLoop::StartBatches() const {
  muster::internal::v1::StreamRequest request;
  *request.mutable_identity() = IdentityOf(parts_.config);
  *request.mutable_spec() = parts_.spec;
  *request.mutable_resolved() = parts_.config.resolved();
  request.set_from_step(parts_.cursor.step);
  return BatchSource::Start(
      {.shares = ShareStream::Start(
           {.server = parts_.channels.data, .request = request, .total_steps = parts_.TotalSteps()}),
       .config = parts_.encoder->config(),
       .device = parts_.device.device,
       .streams = parts_.streams});
}

absl::StatusOr<BatchSource::Step> TrainingLoop::NextStep(BatchSource& batches) {
  const ReachabilityWatch::Wait waiting(parts_.data_watch.get());
  while (true) {
    ASSIGN_OR_RETURN(auto step, batches.Next(kDataPatience));
    if (step.has_value()) return *std::move(step);
    if (parts_.stop.load() != StopRequest::kNone) return absl::CancelledError("stopped while waiting for data");
    parts_.progress.Activity("waiting for the data server");
  }
}

// The trainer begins the stage's optimizer and schedule itself.
void TrainingLoop::BeginStageIfDue() {
  TrainingCursor& cursor = parts_.cursor;
  const Stage& stage = parts_.CurrentStage();
  if (parts_.stages.size() == 1 || cursor.step != stage.begin) return;
  cursor.evaluations_without_better = 0;  // early_stop.patience counts those of one stage
  if (parts_.config.rank() != 0) return;
  const size_t index = StageAt(parts_.stages, cursor.step);
  spdlog::info("stage {} of {} begins: {} steps, {} per epoch", index + 1, parts_.stages.size(), stage.end - stage.begin,
               stage.steps_per_epoch);
}

// Waits for the next batch, trains with it, and advances the cursor.
absl::StatusOr<TrainingLoop::Taken> TrainingLoop::TakeStep(BatchSource& batches) {
  const absl::Duration start = parts_.clock.Monotonic();
  parts_.board.SetPhase(PhaseName(StepPhase::kData));
  Taken taken;
  ASSIGN_OR_RETURN(taken.data, NextStep(batches));
  const StepBatch& batch = taken.data.batch;
  const double data_seconds = absl::ToDoubleSeconds(parts_.clock.Monotonic() - start);
  ASSIGN_OR_RETURN(taken.report, parts_.trainer->Step(batch, parts_.stop.load()));
  taken.report.seconds[StepPhase::kData] = data_seconds;
  CountNegatives(taken.report);
  parts_.cursor.step = batch.step + 1;
  taken.last = parts_.cursor.step == parts_.TotalSteps();
  taken.seconds = absl::ToDoubleSeconds(parts_.clock.Monotonic() - start);
  if (product_rate_ > 0) {
    taken.report.product_share =
        StepOperations(parts_.encoder->config(), batch.micro_batches) / (taken.seconds * product_rate_);
  }
  taken.report.peak_memory_bytes = PeakMemoryBytes(parts_.device.device);
  return taken;
}

absl::Status TrainingLoop::Record(const Taken& taken) {
  parts_.progress.Step(taken.report, parts_.cursor.step, taken.seconds, taken.last);
  RETURN_IF_ERROR(parts_.audit.Append(taken.data.batch));
  RETURN_IF_ERROR(KeepLedger(taken.data.share, taken.report));
  if (parts_.config.rank() == 0) {
    parts_.TolerateLogError(
        parts_.steps.Append(taken.report, parts_.config.attempt(), taken.seconds, parts_.clock.Now()));
  }
  return absl::OkStatus();
}

// A step in which no query has a negative teaches nothing. The user should know before the GPUs have spent a day on such steps.
void TrainingLoop::CountNegatives(const StepReport& report) {
  ++steps_taken_;
  if (report.negative_pairs > 0) return;
  if (steps_without_negative_++ == 0 && parts_.config.rank() == 0) {
    spdlog::warn("step {}: no query of the batch has a negative: all its passages are relevant to all its queries",
                 report.step);
  }
}

// Checks that each query of the epoch was applied exactly once. A fault is reported and counted, and training continues: the
// user decides whether the model can still be used.
absl::Status TrainingLoop::KeepLedger(const muster::internal::v1::StepShare& share, const StepReport& report) {
  const auto closed =
      ApplyToLedger(share, report.applied, parts_.stages[StageAt(parts_.stages, share.step())], parts_.cursor.ledger);
  if (!closed.has_value() || parts_.config.rank() != 0) return absl::OkStatus();
  if (closed->duplicated() + closed->missing() > 0) {
    spdlog::error("epoch {}: of {} queries at least {} were applied more than once and {} not at all", closed->epoch(),
                  share.epoch_queries(), closed->duplicated(), closed->missing());
  }
  RankMessage message;
  *message.mutable_epoch_closed() = *closed;
  return parts_.agent.Send(message);
}

absl::Status TrainingLoop::EvaluateIfDue(bool last) {
  const muster::v1::JobSpec& spec = parts_.spec;
  TrainingCursor& cursor = parts_.cursor;
  if (!spec.has_evaluate() || (!last && cursor.step % spec.evaluate().every_steps() != 0)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const muster::v1::Evaluation result,
                   parts_.Evaluate(absl::StrCat("step-", cursor.step), spec.evaluate(),
                                   parts_.config.resolved().evaluate_dataset()));
  const double metric = result.metrics().at(spec.evaluate().metric());
  ++cursor.evaluations_done;
  ++cursor.evaluations_without_better;
  if (!cursor.best_metric.has_value() || metric > *cursor.best_metric) {
    cursor.best_metric = metric;
    cursor.best_step = cursor.step;
    cursor.evaluations_without_better = 0;
    parts_.best = CopyParameters(parts_.encoder->parameters());
  }
  return absl::OkStatus();
}

// Stops training for a comparison of all ranks' parameters and, on rank 0, for a copy of the training state. If the previous
// checkpoint is still being stored, this one is skipped; with `must` it waits instead.
absl::Status TrainingLoop::Checkpoint(bool must) {
  const absl::Duration began = RealClock().Monotonic();
  parts_.progress.Activity("saving a checkpoint");
  RETURN_IF_ERROR(CompareParameters(*parts_.group, *parts_.encoder, parts_.cursor.step));
  if (parts_.config.rank() != 0) return absl::OkStatus();
  if (parts_.writer->Busy() && !must) {
    spdlog::warn("no checkpoint of step {}: the previous one is still being stored. Consider a larger "
                 "checkpoint.every_steps.", parts_.cursor.step);
    return absl::OkStatus();
  }
  parts_.writer->Start({.encoder = *parts_.encoder,
                        .optimizer = parts_.trainer->optimizer(),
                        .cursor = parts_.cursor,
                        .best = parts_.best,
                        .steps = parts_.steps},
                       began);
  return absl::OkStatus();
}

// All ranks get here after the same step.
absl::Status TrainingLoop::Stop(StopRequest stop) {
  const uint64_t step = parts_.cursor.step;
  if (stop == StopRequest::kNow) return absl::CancelledError(absl::StrCat("stopped after step ", step));
  parts_.progress.Activity("saving a checkpoint, to stop");
  RETURN_IF_ERROR(Checkpoint(/*must=*/true));
  const absl::Status stored = parts_.writer->Wait();
  parts_.group->Barrier().IgnoreError();  // if a peer has already exited, there is nothing to wait for
  return absl::CancelledError(absl::StrCat("stopped after step ", step,
                                           stored.ok() ? ", which is saved" : ", which could not be saved: ",
                                           stored.message()));
}

void TrainingLoop::AdvisePrecision() const {
  const muster::v1::Precision precision = parts_.spec.precision();
  const bool decided = precision == muster::v1::PRECISION_FP32 || precision == muster::v1::PRECISION_BF16;
  if (parts_.config.rank() != 0 || decided) return;
  const std::string advice =
      PrecisionAdvice(parts_.encoder->config(), parts_.encoder->options(), product_rate_);
  if (!advice.empty()) spdlog::info("{}", advice);
}

}  // namespace muster
