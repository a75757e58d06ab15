#include "worker/rank/link/rank_run.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/damaged_checkpoints.h"
#include "common/rpc/blobs.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "worker/rank/export/export.h"
#include "worker/rank/link/activity_reporter.h"
#include "worker/rank/link/audit_log.h"
#include "worker/rank/link/batch_source.h"
#include "worker/rank/link/checkpoints.h"
#include "worker/rank/link/early_stop.h"
#include "worker/rank/link/epoch_ledger.h"
#include "worker/rank/link/evaluation_run.h"
#include "worker/rank/link/exit_cause.h"
#include "worker/rank/link/export_run.h"
#include "worker/rank/link/progress.h"
#include "worker/rank/link/rank_setup.h"
#include "worker/rank/link/restore.h"
#include "worker/rank/link/share_stream.h"
#include "worker/rank/link/step_trace.h"
#include "worker/rank/train/checkpoint.h"
#include "worker/rank/train/step_cost.h"
#include "worker/rank/train/step_log.h"
#include "worker/rank/train/trainer.h"

namespace muster {
namespace {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;
using muster::rank::v1::RankResult;
using muster::v1::Evaluation;

constexpr absl::Duration kDataPatience = absl::Seconds(5);
constexpr absl::Duration kBlobPatience = absl::Minutes(2);  // of a server that can be reached

class RankRun {
 public:
  RankRun(const RankConfig& config, AgentPipe& agent, const Clock& clock, const std::atomic<StopRequest>& stop)
      : config_(config),
        spec_(config.spec()),
        agent_(agent),
        clock_(clock),
        stop_(stop),
        progress_(config, agent, clock, board_),
        audit_(config),
        steps_(std::filesystem::path(config.scratch()) / kStepLogFile) {}

  // Human-readable note about a run that succeeded; equal on all ranks.
  std::string Note() const {
    if (steps_without_negative_ == 0) return "";
    return absl::StrCat(steps_without_negative_, " of the last ", steps_taken_, " steps had no negative to learn from");
  }

  absl::Status Run() {
    RETURN_IF_ERROR(SetUp());
    RETURN_IF_ERROR(Restore());
    board_.SetStep(cursor_.step);
    RankMessage started;
    started.mutable_started()->set_rank(config_.rank());
    RETURN_IF_ERROR(agent_.Send(started));
    if (cursor_.step == 0 && spec_.has_report()) {
      // A job that evaluates alone may measure a trained model: its label is what it measures.
      const std::string& measured = spec_.model().from().empty() ? spec_.model().preset() : spec_.model().from();
      ASSIGN_OR_RETURN(cursor_.untrained, Evaluate(EvaluatesOnly(spec_) ? measured : "untrained", spec_.report(),
                                                    config_.resolved().report_dataset()));
    }
    if (ExportsOnly(spec_)) return StoreModel(config_, model_folder_, *blobs_, agent_, *group_);
    if (EvaluatesOnly(spec_)) return absl::OkStatus();
    RETURN_IF_ERROR(Train());
    return Finish();
  }

 private:
  absl::Status SetUp() {
    progress_.Activity("connecting");
    ASSIGN_OR_RETURN(channels_, Connect(config_));
    data_watch_ = std::make_unique<ReachabilityWatch>(
        ReachabilityWatch::Options{.channel = channels_.data, .name = absl::StrCat("data server ", config_.data_addresses(0))});
    activity_ = std::make_unique<ActivityReporter>(
        agent_, board_,
        ActivityReporter::Options{.rank = config_.rank(), .unreachable = [this] { return data_watch_->Unreachable(); }});
    ASSIGN_OR_RETURN(device_, OpenDevice(config_));
    spdlog::info("job {} attempt {}: rank {} of {}, on {}, {} threads", config_.job_id(), config_.attempt(),
                 config_.rank(), config_.world_size(), device_.device.str(), config_.threads());
    streams_ = MakeStreams(device_.device, clock_);
    blobs_ = std::make_unique<BlobClient>(channels_.data, kBlobPatience, data_watch_.get());
    board_.BeginCollective("meeting the other ranks");
    ASSIGN_OR_RETURN(group_, JoinAttempt(config_, channels_, device_));
    board_.EndCollective();
    group_ = MakeObservedGroup(std::move(group_), board_);
    ASSIGN_OR_RETURN(threads_, ThreadsOfAllRanks(*group_));
    if (config_.rank() == 0) Tolerate(steps_.Clear());
    progress_.Activity("loading the model");
    ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(config_, *blobs_, device_.device));
    encoder_ = std::move(loaded.encoder);
    tokenizer_ = std::move(loaded.tokenizer);
    model_folder_ = std::move(loaded.folder);
    ASSIGN_OR_RETURN(const TrainerOptions options, OptionsOfTrainer());
    trainer_ = std::make_unique<Trainer>(*encoder_, *group_, clock_, options);
    cursor_ = {.total_steps = TotalSteps(),
               .seed = spec_.seed(),
               .spec_digest = SpecDigest(spec_, config_.resolved()),
               .threads = threads_};
    writer_ = std::make_unique<CheckpointWriter>(
        *blobs_, CheckpointWriter::Options{
                     .attempt = config_.attempt(),
                     .scratch = config_.scratch(),
                     .stored = [this](const muster::v1::CheckpointInfo& checkpoint) {
                       RankMessage message;
                       *message.mutable_checkpoint()->mutable_checkpoint() = checkpoint;
                       agent_.Send(message).IgnoreError();  // an agent that is gone ends this process elsewhere
                     }});
    if (config_.rank() == 0 && !EvaluatesOnly(spec_)) writer_->Prepare(*encoder_, trainer_->optimizer());
    return absl::OkStatus();
  }

  absl::StatusOr<TrainerOptions> OptionsOfTrainer() {
    ASSIGN_OR_RETURN(TrainerOptions options, TrainerOptionsFrom(spec_, encoder_->config(), TotalSteps()));
    options.tokenizer = tokenizer_;
    options.board = &board_;
    options.streams = streams_;
    return options;
  }

  uint64_t TotalSteps() const { return config_.resolved().total_steps(); }

  // Restores the newest checkpoint that no rank finds damaged. An error if all are damaged, because only a person may
  // give up what the job has done.
  absl::Status Restore() {
    std::vector<uint64_t> damaged;
    std::string newest;
    for (const muster::v1::CheckpointInfo& checkpoint : config_.checkpoints()) {
      ASSIGN_OR_RETURN(const std::string damage, RestoreTogether(checkpoint));
      if (damage.empty()) return absl::OkStatus();
      spdlog::warn("the checkpoint of step {} is damaged: {}", checkpoint.step(), damage);
      if (damaged.empty()) newest = damage;
      damaged.insert(damaged.begin(), checkpoint.step());
    }
    if (damaged.empty()) return absl::OkStatus();
    return WithReason(absl::DataLossError(AllCheckpointsDamaged(damaged, newest)), kAllDamaged);
  }

  // Returns what a rank found damaged; empty: all ranks continue from this checkpoint.
  absl::StatusOr<std::string> RestoreTogether(const muster::v1::CheckpointInfo& checkpoint) {
    const std::string activity = "restoring a checkpoint";
    progress_.Activity(activity);
    const auto restored = RestoreStored(checkpoint, *blobs_, config_.scratch(),
                                        {.spec_digest = cursor_.spec_digest,
                                         .encoder = *encoder_,
                                         .optimizer = trainer_->optimizer(),
                                         .steps = config_.rank() == 0 ? &steps_ : nullptr},
                                        [&](uint64_t done, uint64_t total) {
                                          const double all = std::max<double>(1, static_cast<double>(total));
                                          progress_.Activity(activity, static_cast<double>(done) / all);
                                        });
    std::string damage;
    if (absl::IsDataLoss(restored.status())) {
      damage = absl::StrCat("rank ", config_.rank(), ": ", restored.status().message());
      RankMessage message;
      message.mutable_checkpoint_refused()->set_step(checkpoint.step());
      message.mutable_checkpoint_refused()->set_manifest(checkpoint.manifest());
      message.mutable_checkpoint_refused()->set_reason(std::string(restored.status().message()));
      RETURN_IF_ERROR(agent_.Send(message));
    } else if (!restored.ok()) {
      return restored.status();
    }
    ASSIGN_OR_RETURN(const auto damages, group_->AllGatherBytes(damage));
    for (const std::string& found : damages) {
      if (!found.empty()) return found;
    }
    cursor_ = restored->cursor;
    best_ = restored->best;
    spdlog::info("continues from the checkpoint of step {}", cursor_.step);
    if (const std::string note = RoundingNote(cursor_.threads, threads_); !note.empty()) spdlog::warn("{}", note);
    cursor_.threads = threads_;
    return "";
  }

  // The step log is informational: a disk without space for it does not stop training.
  void Tolerate(const absl::Status& log) {
    if (log.ok() || log_failed_) return;
    log_failed_ = true;
    spdlog::warn("steps are missing in the step log: {}", std::string(log.message()));
  }

  // `section` is the specification's evaluate or report.
  template <typename Section>
  absl::StatusOr<Evaluation> Evaluate(const std::string& label, const Section& section, const std::string& digest) {
    return RunEvaluation({config_, *encoder_, *group_, tokenizer_, channels_.data, data_watch_.get(), progress_, agent_, clock_},
                         EvaluationTask::Of(section, label, digest), cursor_.step);
  }

  absl::Status Train() {
    muster::internal::v1::StreamRequest request;
    *request.mutable_identity() = IdentityOf(config_);
    *request.mutable_spec() = spec_;
    *request.mutable_resolved() = config_.resolved();
    request.set_from_step(cursor_.step);
    const auto batches = BatchSource::Start(
        {.shares = ShareStream::Start({.server = channels_.data, .request = request, .total_steps = TotalSteps()}),
         .rank = config_.rank(),
         .world_size = config_.world_size(),
         .config = encoder_->config(),
         .device = device_.device,
         .streams = streams_});
    // An attempt that was asked to stop after a step saved it before its evaluation.
    if (cursor_.step > 0 && cursor_.evaluations_done < EvaluationsDue(spec_, cursor_.step, TotalSteps())) {
      RETURN_IF_ERROR(EvaluateIfDue(cursor_.step == TotalSteps()));
    }
    const double product_rate = config_.rank() == 0 ? MeasureProductRate(encoder_->config(), encoder_->options()) : 0;
    AdvisePrecision(product_rate);
    StepTrace trace(config_, TotalSteps() - std::min(TotalSteps(), cursor_.step), !device_.device.is_cpu(), *blobs_, agent_);
    while (cursor_.step < TotalSteps() && !StopsEarly(spec_, cursor_)) {
      trace.BeforeStep();
      const absl::Duration start = clock_.Monotonic();
      board_.SetPhase("data");
      ASSIGN_OR_RETURN(const BatchSource::Step next, NextStep(*batches));
      const StepBatch& batch = next.batch;
      const double data_seconds = absl::ToDoubleSeconds(clock_.Monotonic() - start);
      ASSIGN_OR_RETURN(StepReport report, trainer_->Step(batch, stop_.load()));
      report.seconds["data"] = data_seconds;
      CountNegatives(report);
      cursor_.step = batch.step + 1;
      const bool last = cursor_.step == TotalSteps();
      const double seconds = absl::ToDoubleSeconds(clock_.Monotonic() - start);
      if (product_rate > 0) {
        report.product_share = StepOperations(encoder_->config(), batch.micro_batches) / (seconds * product_rate);
      }
      report.peak_memory_bytes = PeakMemoryBytes(device_.device);
      trace.AfterStep(last || report.stop != StopRequest::kNone);
      progress_.Step(report, cursor_.step, seconds, last);
      RETURN_IF_ERROR(audit_.Append(batch));
      RETURN_IF_ERROR(KeepLedger(next.share, report));
      if (config_.rank() == 0) Tolerate(steps_.Append(report, config_.attempt(), seconds, clock_.Now()));
      if (report.stop != StopRequest::kNone) return Stop(report.stop);
      RETURN_IF_ERROR(EvaluateIfDue(last));
      const bool ends = last || StopsEarly(spec_, cursor_);
      if (ends || cursor_.step % spec_.checkpoint().every_steps() == 0) RETURN_IF_ERROR(Checkpoint(/*must=*/ends));
    }
    return absl::OkStatus();
  }

  void AdvisePrecision(double product_rate) const {
    const bool decided =
        spec_.precision() == muster::v1::PRECISION_FP32 || spec_.precision() == muster::v1::PRECISION_BF16;
    if (config_.rank() != 0 || decided) return;
    const std::string advice = PrecisionAdvice(encoder_->config(), encoder_->options(), product_rate);
    if (!advice.empty()) spdlog::info("{}", advice);
  }

  // A step of queries without a negative pushes nothing away: worth knowing before the GPUs have spent a day on it.
  void CountNegatives(const StepReport& report) {
    ++steps_taken_;
    if (report.negative_pairs > 0) return;
    if (steps_without_negative_++ == 0 && config_.rank() == 0) {
      spdlog::warn("step {}: no query of the batch has a negative: all its passages are relevant to all its queries",
                   report.step);
    }
  }

  // All ranks are here after the same step.
  absl::Status Stop(StopRequest stop) {
    if (stop == StopRequest::kNow) return absl::CancelledError(absl::StrCat("stopped after step ", cursor_.step));
    progress_.Activity("saving a checkpoint, to stop");
    RETURN_IF_ERROR(Checkpoint(/*must=*/true));
    const absl::Status stored = writer_->Wait();
    group_->Barrier().IgnoreError();  // a peer that is gone has nothing to wait for
    return absl::CancelledError(absl::StrCat("stopped after step ", cursor_.step,
                                             stored.ok() ? ", which is saved" : ", which could not be saved: ",
                                             stored.message()));
  }

  // Whether the epoch's queries were applied once each. A fault is reported and counted, and training continues: what it
  // means for the model is for the user to judge.
  absl::Status KeepLedger(const muster::internal::v1::StepShare& share, const StepReport& report) {
    const auto closed = ApplyToLedger(share, report.applied, config_.resolved().steps_per_epoch(), cursor_.ledger);
    if (!closed.has_value() || config_.rank() != 0) return absl::OkStatus();
    if (closed->duplicated() + closed->missing() > 0) {
      spdlog::error("epoch {}: of {} queries at least {} were applied more than once and {} not at all", closed->epoch(),
                    share.epoch_queries(), closed->duplicated(), closed->missing());
    }
    RankMessage message;
    *message.mutable_epoch_closed() = *closed;
    return agent_.Send(message);
  }

  absl::StatusOr<BatchSource::Step> NextStep(BatchSource& batches) {
    const ReachabilityWatch::Wait waiting(data_watch_.get());
    while (true) {
      ASSIGN_OR_RETURN(auto step, batches.Next(kDataPatience));
      if (step.has_value()) return *std::move(step);
      if (stop_.load() != StopRequest::kNone) return absl::CancelledError("stopped while waiting for data");
      progress_.Activity("waiting for the data server");
    }
  }

  absl::Status EvaluateIfDue(bool last) {
    if (!spec_.has_evaluate() || (!last && cursor_.step % spec_.evaluate().every_steps() != 0)) return absl::OkStatus();
    ASSIGN_OR_RETURN(const Evaluation result,
                     Evaluate(absl::StrCat("step-", cursor_.step), spec_.evaluate(),
                              config_.resolved().evaluate_dataset()));
    const double metric = result.metrics().at(spec_.evaluate().metric());
    ++cursor_.evaluations_done;
    ++cursor_.evaluations_without_better;
    if (!cursor_.best_metric.has_value() || metric > *cursor_.best_metric) {
      cursor_.best_metric = metric;
      cursor_.best_step = cursor_.step;
      cursor_.evaluations_without_better = 0;
      best_ = CopyParameters(encoder_->parameters());
    }
    return absl::OkStatus();
  }

  // Stops training for a comparison of all ranks' parameters and, on rank 0, for a copy of the training state. If the
  // checkpoint before is still being stored, this one is left out, or waits for it if there `must` be one of this step.
  absl::Status Checkpoint(bool must) {
    const absl::Duration began = RealClock().Monotonic();
    progress_.Activity("saving a checkpoint");
    RETURN_IF_ERROR(CompareParameters(*group_, *encoder_, cursor_.step));
    if (config_.rank() != 0) return absl::OkStatus();
    if (writer_->Busy() && !must) {
      spdlog::warn("no checkpoint of step {}: the one before is still being stored. Consider a larger "
                   "checkpoint.every_steps.", cursor_.step);
      return absl::OkStatus();
    }
    writer_->Start({.encoder = *encoder_,
                    .optimizer = trainer_->optimizer(),
                    .cursor = cursor_,
                    .best = best_,
                    .steps = steps_},
                   began);
    return absl::OkStatus();
  }

  // The best parameters if an evaluation chose them, the last otherwise: report and export are of the same weights.
  absl::Status Finish() {
    if (!best_.empty()) RETURN_IF_ERROR(AssignParameters(best_, encoder_->parameters()));
    std::optional<Evaluation> trained;
    if (spec_.has_report()) {
      ASSIGN_OR_RETURN(trained, Evaluate("trained", spec_.report(), config_.resolved().report_dataset()));
    }
    if (config_.rank() == 0) {
      writer_->Wait().IgnoreError();  // logged; the export has the weights
      progress_.Activity("exporting");
      const std::optional<muster::internal::v1::StoppedEarly> stopped = EarlyStopOf(spec_, cursor_, TotalSteps());
      ASSIGN_OR_RETURN(const std::string manifest,
                       ExportModel(config_, *encoder_, tokenizer_, cursor_.untrained, trained, stopped, *blobs_));
      RankMessage message;
      message.mutable_exported()->set_manifest(manifest);
      if (stopped.has_value()) *message.mutable_exported()->mutable_stopped_early() = *stopped;
      message.mutable_exported()->set_step_log(StoredStepLog(steps_, config_.scratch(), *blobs_));
      RETURN_IF_ERROR(agent_.Send(message));
    }
    // The job succeeds with the other ranks only if the export is stored.
    const absl::Status together = group_->Barrier();
    return config_.rank() == 0 ? absl::OkStatus() : together;
  }

  const RankConfig& config_;
  const muster::v1::JobSpec& spec_;
  AgentPipe& agent_;
  const Clock& clock_;
  const std::atomic<StopRequest>& stop_;
  ActivityBoard board_;
  ProgressReporter progress_;
  AuditLog audit_;
  StepLog steps_;  // rank 0's alone is used
  bool log_failed_ = false;
  RankDevice device_;
  RankChannels channels_;
  std::unique_ptr<ReachabilityWatch> data_watch_;
  std::unique_ptr<ActivityReporter> activity_;
  std::unique_ptr<BlobClient> blobs_;
  std::shared_ptr<Streams> streams_;
  std::unique_ptr<Group> group_;
  std::unique_ptr<Encoder> encoder_;
  std::filesystem::path tokenizer_, model_folder_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<CheckpointWriter> writer_;
  TrainingCursor cursor_;
  std::vector<uint32_t> threads_;  // of each rank
  uint64_t steps_taken_ = 0, steps_without_negative_ = 0;  // of this attempt
  std::vector<Parameter> best_;  // empty: no evaluation has chosen yet
};

}  // namespace

RankResult RunRank(const RankConfig& config, AgentPipe& agent, const Clock& clock, const std::atomic<StopRequest>& stop) {
  RankRun run(config, agent, clock, stop);
  absl::Status status = run.Run();
  // A rank that was asked to stop may see a peer leave first.
  if (!status.ok() && stop.load() != StopRequest::kNone) status = absl::CancelledError(status.message());
  RankResult result;
  result.set_cause(CauseOf(status));
  result.set_message(status.ok() ? run.Note() : std::string(status.message()));
  return result;
}

}  // namespace muster
