// The parts of a rank that has joined the attempt's other ranks and loaded its model.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/rpc/blobs.h"
#include "common/rpc/reachability.h"
#include "common/spec/stages.h"
#include "muster/rank/v1/rank.pb.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/collective/activity_board.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/device/streams.h"
#include "worker/rank/link/activity_reporter.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/link/audit_log.h"
#include "worker/rank/link/checkpoints.h"
#include "worker/rank/link/evaluation_run.h"
#include "worker/rank/link/progress.h"
#include "worker/rank/link/rank_setup.h"
#include "worker/rank/train/checkpoint.h"
#include "worker/rank/train/step_log.h"
#include "worker/rank/train/stop_request.h"
#include "worker/rank/train/trainer.h"

namespace muster {

// Only the training thread uses it. Later members depend on earlier ones, so the order of the members
// matters.
struct RankParts {
  // Connects, joins the other ranks, and loads the model. All ranks of the attempt call this together. The arguments must
  // outlive the result.
  static absl::StatusOr<std::unique_ptr<RankParts>> Make(const muster::rank::v1::RankConfig& config, AgentPipe& agent,
                                                         const Clock& clock, const std::atomic<StopRequest>& stop);

  uint64_t TotalSteps() const { return config.resolved().total_steps(); }
  // The stage of the step after `cursor`, or the last stage.
  const Stage& CurrentStage() const { return stages[StageAt(stages, cursor.step)]; }

  // Evaluates the current model. `section` is the specification's evaluate or report. `results`: as in EvaluationTask.
  template <typename Section>
  absl::StatusOr<muster::v1::Evaluation> Evaluate(const std::string& label, const Section& section, const std::string& digest,
                                                  ReportResults* results = nullptr) {
    EvaluationTask task = EvaluationTask::Of(section, label, digest);
    task.results = results;
    return RunEvaluation(ContextOfEvaluation(), task, cursor.step);
  }
  EvaluationContext ContextOfEvaluation() {
    return {config, *encoder, *group, tokenizer, channels.data, data_watch.get(), progress, agent, clock};
  }

  // The step log is informational: a disk without space for it does not stop training.
  void TolerateLogError(const absl::Status& log);

  const muster::rank::v1::RankConfig& config;
  const muster::v1::JobSpec& spec;
  const std::vector<Stage> stages;  // never empty
  AgentPipe& agent;
  const Clock& clock;
  const std::atomic<StopRequest>& stop;
  ActivityBoard board;
  ProgressReporter progress;
  AuditLog audit;
  StepLog steps;  // only rank 0's is used
  bool log_failed = false;
  RankDevice device;
  RankChannels channels;
  std::unique_ptr<ReachabilityWatch> data_watch;
  std::unique_ptr<ActivityReporter> activity;
  std::unique_ptr<BlobClient> blobs;
  std::shared_ptr<Streams> streams;
  std::unique_ptr<Group> group;
  std::unique_ptr<Encoder> encoder;
  std::filesystem::path tokenizer;
  std::filesystem::path model_folder;  // empty: a preset
  std::unique_ptr<Trainer> trainer;
  std::unique_ptr<CheckpointWriter> writer;
  std::vector<uint32_t> threads;  // of each rank

  // The position of the run, and the parameters of the best evaluation; empty: there was none yet.
  TrainingCursor cursor;
  std::vector<Parameter> best;

 private:
  RankParts(const muster::rank::v1::RankConfig& config, AgentPipe& agent, const Clock& clock,
            const std::atomic<StopRequest>& stop);
  absl::Status Connect();
  absl::Status Load();
  absl::StatusOr<TrainerOptions> OptionsOfTrainer();
  CheckpointWriter::Options OptionsOfWriter();
};

}  // namespace muster
