#include "worker/rank/link/rank_run.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/blobs.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "worker/rank/evaluate/metrics.h"
#include "worker/rank/export/export.h"
#include "worker/rank/link/activity_reporter.h"
#include "worker/rank/link/audit_log.h"
#include "worker/rank/link/checkpoints.h"
#include "worker/rank/link/evaluation_stream.h"
#include "worker/rank/link/export_run.h"
#include "worker/rank/link/progress.h"
#include "worker/rank/link/rank_setup.h"
#include "worker/rank/link/share_stream.h"
#include "worker/rank/train/checkpoint.h"
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

  absl::Status Run() {
    RETURN_IF_ERROR(SetUp());
    RETURN_IF_ERROR(Restore());
    board_.SetStep(cursor_.step);
    RankMessage started;
    started.mutable_started()->set_rank(config_.rank());
    RETURN_IF_ERROR(agent_.Send(started));
    if (cursor_.step == 0 && spec_.has_report()) {
      ASSIGN_OR_RETURN(cursor_.untrained, Evaluate("untrained", spec_.report().dataset(), spec_.report().split(),
                                                    config_.resolved().report_dataset()));
    }
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
    blobs_ = std::make_unique<BlobClient>(channels_.data, kBlobPatience, data_watch_.get());
    board_.BeginCollective("meeting the other ranks");
    ASSIGN_OR_RETURN(group_, JoinAttempt(config_, channels_, device_));
    board_.EndCollective();
    group_ = MakeObservedGroup(std::move(group_), board_);
    ASSIGN_OR_RETURN(threads_, ThreadsOfAllRanks(*group_));
    RETURN_IF_ERROR(steps_.Clear());
    progress_.Activity("loading the model");
    ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(config_, *blobs_, device_.device));
    encoder_ = std::move(loaded.encoder);
    tokenizer_ = std::move(loaded.tokenizer);
    trainer_ = std::make_unique<Trainer>(*encoder_, *group_, clock_, TrainerSettings());
    cursor_ = {.total_steps = TotalSteps(),
               .seed = spec_.seed(),
               .spec_digest = SpecDigest(spec_, config_.resolved()),
               .threads = threads_};
    uploader_ = std::make_unique<CheckpointUploader>(
        *blobs_, config_.attempt(), [this](const muster::v1::CheckpointInfo& checkpoint) {
          RankMessage message;
          *message.mutable_checkpoint()->mutable_checkpoint() = checkpoint;
          agent_.Send(message).IgnoreError();  // an agent that is gone ends this process elsewhere
        });
    return absl::OkStatus();
  }

  TrainerOptions TrainerSettings() {
    TrainerOptions options = TrainerOptionsFrom(spec_, encoder_->config(), TotalSteps());
    options.board = &board_;
    return options;
  }

  uint64_t TotalSteps() const { return config_.resolved().total_steps(); }

  // The newest checkpoint that is whole for every rank. All of them broken: from the start.
  absl::Status Restore() {
    for (const muster::v1::CheckpointInfo& checkpoint : config_.checkpoints()) {
      progress_.Activity("restoring a checkpoint");
      const auto restored = RestoreOne(checkpoint);
      if (!restored.ok() && !IsBrokenCheckpoint(restored.status())) return restored.status();
      ASSIGN_OR_RETURN(const auto all, group_->AllGatherBytes(restored.ok() ? "whole" : "broken"));
      bool whole = true;
      for (const std::string& one : all) whole = whole && one == "whole";
      if (whole) {
        cursor_ = restored->cursor;
        best_ = restored->best;
        spdlog::info("goes on from the checkpoint of step {}", cursor_.step);
        if (const std::string note = RoundingNote(cursor_.threads, threads_); !note.empty()) spdlog::warn("{}", note);
        cursor_.threads = threads_;
        return absl::OkStatus();
      }
      spdlog::warn("the checkpoint of step {} is skipped: {}", checkpoint.step(),
                   restored.ok() ? "another rank found it broken" : std::string(restored.status().message()));
    }
    if (config_.checkpoints_size() == 0) return absl::OkStatus();
    // A rank may have restored what another refused: back to the weights that all ranks start from.
    ASSIGN_OR_RETURN(LoadedModel fresh, LoadModel(config_, *blobs_, device_.device));
    RETURN_IF_ERROR(AssignParameters(fresh.encoder->parameters(), encoder_->parameters()));
    RETURN_IF_ERROR(steps_.Clear());
    trainer_ = std::make_unique<Trainer>(*encoder_, *group_, clock_, TrainerSettings());
    return absl::OkStatus();
  }

  absl::StatusOr<RestoredCheckpoint> RestoreOne(const muster::v1::CheckpointInfo& checkpoint) {
    const std::filesystem::path folder =
        std::filesystem::path(config_.scratch()) / absl::StrCat("restore-", checkpoint.step());
    ASSIGN_OR_RETURN(const auto manifest, blobs_->GetManifest(checkpoint.manifest()));
    RETURN_IF_ERROR(blobs_->GetFolder(manifest, folder));
    auto restored = RestoreCheckpoint(folder, cursor_.spec_digest, *encoder_, trainer_->optimizer());
    if (restored.ok()) RETURN_IF_ERROR(steps_.ReadFrom(folder, restored->cursor.step));
    std::error_code ignored;  // the agent removes the scratch folder in any case
    std::filesystem::remove_all(folder, ignored);
    return restored;
  }

  absl::StatusOr<Evaluation> Evaluate(const std::string& label, const std::string& dataset, const std::string& split,
                                      const std::string& digest) {
    const absl::Duration start = clock_.Monotonic();
    const std::string activity = absl::StrCat("evaluating (", label, ")");
    progress_.Activity(activity);
    muster::v1::StreamEvaluationRequest request;
    *request.mutable_identity() = Identity();
    *request.mutable_spec() = spec_;
    *request.mutable_resolved() = config_.resolved();
    request.set_dataset(digest);
    request.set_split(split);
    ASSIGN_OR_RETURN(EvaluationSource source, OpenEvaluation(channels_.data, request, data_watch_.get()));
    EvaluatorOptions options{.metrics = StandardMetrics(),
                             .progress = [&](double done) { progress_.Activity(activity, done); }};
    if (spec_.has_evaluate()) options.metrics.push_back(spec_.evaluate().metric());
    ASSIGN_OR_RETURN(Evaluation result, muster::Evaluate(*encoder_, *group_, std::move(source), options));
    result.set_label(label);
    result.set_step(cursor_.step);
    result.set_dataset(dataset);
    result.set_split(split);
    result.set_seconds(absl::ToDoubleSeconds(clock_.Monotonic() - start));
    if (config_.rank() == 0) {
      spdlog::info("{} on {} {}: ndcg@10 {:.4f}, mrr {:.4f}, recall@100 {:.4f} ({:.1f} s)", label, dataset, split,
                   result.metrics().at("ndcg@10"), result.metrics().at("mrr"), result.metrics().at("recall@100"),
                   result.seconds());
      RankMessage message;
      *message.mutable_evaluation() = result;
      RETURN_IF_ERROR(agent_.Send(message));
    }
    return result;
  }

  muster::v1::RankIdentity Identity() const {
    muster::v1::RankIdentity identity;
    identity.set_job_id(config_.job_id());
    identity.set_attempt(config_.attempt());
    identity.set_rank(config_.rank());
    identity.set_world_size(config_.world_size());
    return identity;
  }

  bool StoppedEarly() const {
    return spec_.has_evaluate() && spec_.evaluate().has_early_stop() &&
           cursor_.evaluations_without_better >= spec_.evaluate().early_stop().patience();
  }

  // Nothing: the job took all its steps.
  std::optional<muster::v1::StoppedEarly> EarlyStop() const {
    if (!StoppedEarly() || cursor_.step == TotalSteps()) return std::nullopt;
    muster::v1::StoppedEarly stopped;
    stopped.set_step(cursor_.step);
    stopped.set_patience(spec_.evaluate().early_stop().patience());
    stopped.set_metric(spec_.evaluate().metric());
    stopped.set_best_step(cursor_.best_step);
    stopped.set_best(cursor_.best_metric.value_or(0));
    return stopped;
  }

  absl::Status Train() {
    muster::v1::StreamRequest request;
    *request.mutable_identity() = Identity();
    *request.mutable_spec() = spec_;
    *request.mutable_resolved() = config_.resolved();
    request.set_from_step(cursor_.step);
    const auto shares =
        ShareStream::Start({.server = channels_.data, .request = request, .total_steps = TotalSteps()});
    // An attempt that was asked to stop after a step saved it before its evaluation.
    if (cursor_.step > 0 && cursor_.evaluations_done < EvaluationsDue(cursor_.step)) {
      RETURN_IF_ERROR(EvaluateIfDue(cursor_.step == TotalSteps()));
    }
    while (cursor_.step < TotalSteps() && !StoppedEarly()) {
      const absl::Duration start = clock_.Monotonic();
      board_.SetPhase("data");
      ASSIGN_OR_RETURN(const muster::v1::StepShare share, NextShare(*shares));
      ASSIGN_OR_RETURN(const StepBatch batch, BatchFromShare(share, config_.rank(), config_.world_size(),
                                                             encoder_->config(), device_.device));
      const double data_seconds = absl::ToDoubleSeconds(clock_.Monotonic() - start);
      ASSIGN_OR_RETURN(StepReport report, trainer_->Step(batch, stop_.load()));
      report.seconds["data"] = data_seconds;
      cursor_.step = batch.step + 1;
      const bool last = cursor_.step == TotalSteps();
      const double seconds = absl::ToDoubleSeconds(clock_.Monotonic() - start);
      progress_.Step(report, cursor_.step, seconds, last);
      RETURN_IF_ERROR(audit_.Append(batch));
      RETURN_IF_ERROR(KeepLedger(share, report));
      if (config_.rank() == 0) RETURN_IF_ERROR(steps_.Append(report, config_.attempt(), seconds, clock_.Now()));
      if (report.stop != StopRequest::kNone) return Stop(report.stop);
      RETURN_IF_ERROR(EvaluateIfDue(last));
      if (last || StoppedEarly() || cursor_.step % spec_.checkpoint().every_steps() == 0) RETURN_IF_ERROR(Checkpoint());
    }
    return absl::OkStatus();
  }

  // All ranks are here after the same step.
  absl::Status Stop(StopRequest stop) {
    if (stop == StopRequest::kNow) return absl::CancelledError(absl::StrCat("stopped after step ", cursor_.step));
    progress_.Activity("saving a checkpoint, to stop");
    RETURN_IF_ERROR(Checkpoint());
    if (config_.rank() == 0) uploader_->Wait();
    group_->Barrier().IgnoreError();  // a peer that is gone has nothing to wait for
    return absl::CancelledError(absl::StrCat("stopped after step ", cursor_.step, ", which is saved"));
  }

  // How many evaluations have been done once those of `step` are.
  uint64_t EvaluationsDue(uint64_t step) const {
    if (!spec_.has_evaluate()) return 0;
    const uint64_t every = spec_.evaluate().every_steps();
    return step / every + (step == TotalSteps() && step % every != 0 ? 1 : 0);
  }

  // Whether the epoch's queries were applied once each. A fault is reported and counted, and training goes on: what it
  // means for the model is for people to judge.
  absl::Status KeepLedger(const muster::v1::StepShare& share, const StepReport& report) {
    const uint64_t steps = std::max<uint64_t>(1, config_.resolved().steps_per_epoch());
    cursor_.ledger.Apply(share.epoch(), share.step() % steps == 0, report.applied);
    if (!share.epoch_end() || share.epoch_queries() == 0 || !cursor_.ledger.whole || config_.rank() != 0) {
      return absl::OkStatus();
    }
    const LedgerVerdict verdict =
        JudgeEpoch(cursor_.ledger.applied, {share.epoch_queries(), share.epoch_query_sum()});
    if (verdict.duplicated + verdict.missing > 0) {
      spdlog::error("epoch {}: of {} queries at least {} were applied more than once and {} not at all", share.epoch(),
                    share.epoch_queries(), verdict.duplicated, verdict.missing);
    }
    RankMessage message;
    message.mutable_epoch_closed()->set_epoch(share.epoch());
    message.mutable_epoch_closed()->set_committed(verdict.committed);
    message.mutable_epoch_closed()->set_duplicated(verdict.duplicated);
    message.mutable_epoch_closed()->set_missing(verdict.missing);
    return agent_.Send(message);
  }

  absl::StatusOr<muster::v1::StepShare> NextShare(ShareStream& shares) {
    const ReachabilityWatch::Wait waiting(data_watch_.get());
    while (true) {
      ASSIGN_OR_RETURN(auto share, shares.Next(kDataPatience));
      if (share.has_value()) return *std::move(share);
      if (stop_.load() != StopRequest::kNone) return absl::CancelledError("stopped while waiting for data");
      progress_.Activity("waiting for the data server");
    }
  }

  absl::Status EvaluateIfDue(bool last) {
    if (!spec_.has_evaluate() || (!last && cursor_.step % spec_.evaluate().every_steps() != 0)) return absl::OkStatus();
    ASSIGN_OR_RETURN(const Evaluation result,
                     Evaluate(absl::StrCat("step-", cursor_.step), spec_.evaluate().dataset(),
                              spec_.evaluate().split(), config_.resolved().evaluate_dataset()));
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

  absl::Status Checkpoint() {
    const absl::Duration began = clock_.Monotonic();
    progress_.Activity("saving a checkpoint");
    ASSIGN_OR_RETURN(const auto digests, group_->AllGatherBytes(ParameterDigest(encoder_->parameters())));
    for (size_t r = 1; r < digests.size(); ++r) {
      if (digests[r] != digests[0]) {
        return WithReason(
            absl::InternalError(absl::StrCat("step ", cursor_.step, ": the parameters of rank ", r,
                                             " are not those of rank 0; the checkpoint is not written")),
            kRanksDisagree);
      }
    }
    if (config_.rank() != 0) return absl::OkStatus();
    const std::filesystem::path folder =
        std::filesystem::path(config_.scratch()) / absl::StrCat("checkpoint-", cursor_.step);
    RETURN_IF_ERROR(steps_.WriteTo(folder));
    RETURN_IF_ERROR(WriteCheckpoint(folder, *encoder_, trainer_->optimizer(), cursor_, best_));
    uploader_->Start(cursor_.step, folder, began);
    return absl::OkStatus();
  }

  // The best parameters if an evaluation chose them, the last otherwise: report and export are of the same weights.
  absl::Status Finish() {
    if (!best_.empty()) RETURN_IF_ERROR(AssignParameters(best_, encoder_->parameters()));
    std::optional<Evaluation> trained;
    if (spec_.has_report()) {
      ASSIGN_OR_RETURN(trained, Evaluate("trained", spec_.report().dataset(), spec_.report().split(),
                                         config_.resolved().report_dataset()));
    }
    if (config_.rank() == 0) {
      uploader_->Wait();
      progress_.Activity("exporting");
      ASSIGN_OR_RETURN(const std::string manifest,
                       ExportModel(config_, *encoder_, tokenizer_, cursor_.untrained, trained, EarlyStop(), *blobs_));
      RankMessage message;
      message.mutable_exported()->set_manifest(manifest);
      if (const auto stopped = EarlyStop(); stopped.has_value()) {
        *message.mutable_exported()->mutable_stopped_early() = *stopped;
      }
      RETURN_IF_ERROR(agent_.Send(message));
    }
    // The others' end is the job's end only if the export is there.
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
  RankDevice device_;
  RankChannels channels_;
  std::unique_ptr<ReachabilityWatch> data_watch_;
  std::unique_ptr<ActivityReporter> activity_;
  std::unique_ptr<BlobClient> blobs_;
  std::unique_ptr<Group> group_;
  std::unique_ptr<Encoder> encoder_;
  std::filesystem::path tokenizer_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<CheckpointUploader> uploader_;
  TrainingCursor cursor_;
  std::vector<uint32_t> threads_;  // of each rank
  std::vector<Parameter> best_;  // empty: no evaluation has chosen yet
};

}  // namespace

muster::v1::ExitCause CauseOf(const absl::Status& status) {
  if (status.ok()) return muster::v1::EXIT_CAUSE_SUCCESS;
  if (absl::IsCancelled(status)) return muster::v1::EXIT_CAUSE_STOPPED;
  if (ReasonOf(status) == kRanksDisagree) return muster::v1::EXIT_CAUSE_DISAGREEMENT;
  if (absl::StrContains(status.message(), "collective failed: ")) return muster::v1::EXIT_CAUSE_COLLECTIVE;
  // A refused model, a wrong share, non-finite scores: every attempt would meet them again.
  if (absl::IsInvalidArgument(status)) return muster::v1::EXIT_CAUSE_PERMANENT;
  return muster::v1::EXIT_CAUSE_ERROR;
}

RankResult RunRank(const RankConfig& config, AgentPipe& agent, const Clock& clock, const std::atomic<StopRequest>& stop) {
  absl::Status status = RankRun(config, agent, clock, stop).Run();
  // A rank that was asked to stop may see a peer leave first.
  if (!status.ok() && stop.load() != StopRequest::kNone) status = absl::CancelledError(status.message());
  RankResult result;
  result.set_cause(CauseOf(status));
  result.set_message(std::string(status.message()));
  return result;
}

}  // namespace muster
