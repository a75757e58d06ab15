// One optimizer update over the global batch, the same on any number of ranks.
//
// Law: gradients are sums, divided only by R, the weight of the valid rows of the whole batch, which comes with
// the batch. There is no factor W anywhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/sample_ledger.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/collective/activity_board.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/device/phase_clock.h"
#include "worker/rank/device/streams.h"
#include "worker/rank/loss/matryoshka.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/train/batch.h"
#include "worker/rank/train/embedding_gather.h"
#include "worker/rank/train/flat_gradients.h"
#include "worker/rank/train/gather_order.h"
#include "worker/rank/train/gradient_reduction.h"
#include "worker/rank/train/optimizer.h"
#include "worker/rank/train/step_report.h"
#include "worker/rank/train/stop_request.h"

namespace muster {

// A stage of the job (common/spec/stages.h).
struct TrainingStage {
  uint64_t begin = 0, steps = 1;        // of the job's steps
  muster::v1::OptimizerSpec optimizer;  // its learning rate and schedule apply
};

struct TrainerOptions {
  muster::v1::OptimizerSpec optimizer;
  muster::v1::LossSpec loss;
  bool label_noise = false;       // the job has data.noise
  uint64_t keep_activations = 0;  // budget for kept graphs in bytes; other micro-batches are replayed
  uint64_t seed = 0;
  double hidden_dropout = 0, attention_dropout = 0;
  AttentionKeys attention_keys = AttentionKeys::kSequence;
  uint64_t total_steps = 1;
  std::vector<TrainingStage> stages;  // in their order; empty: one of all steps, with `optimizer`
  int64_t tile_rows = 0, tile_columns = 0;  // 0: the device's plan
  const TileOps* tile_ops = nullptr;  // of the loss; null: the device's. Must outlive the trainer
  std::filesystem::path tokenizer;  // folder with vocab.txt, to name texts in errors by their words; empty: by token ids
  ActivityBoard* board = nullptr;  // receives the phase of the step in progress; may be null
  std::shared_ptr<Streams> streams;  // of the encoder's device; null: the trainer makes its own
};

// Which micro-batches' graphs are kept, in order: each that still fits the budget after those kept before it.
std::vector<bool> GraphsToKeep(std::span<const uint64_t> bytes, uint64_t budget);

// `spec` must have its defaults filled in. INVALID_ARGUMENT: it lacks batch.micro_batch_tokens or
// batch.keep_activations, whose defaults are filled in once its device is decided.
absl::StatusOr<TrainerOptions> TrainerOptionsFrom(const muster::v1::JobSpec& spec, const EncoderConfig& config, uint64_t total_steps);

// The job's stages in the trainer's form; empty if the job has none.
std::vector<TrainingStage> TrainingStagesOf(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved);

// Not thread-safe; encoder, group and clock must outlive it. The optimizer, the schedule and dropout start over with each
// stage, so that a stage trains as a separate job does.
class Trainer {
 public:
  Trainer(Encoder& encoder, Group& group, const Clock& clock, const TrainerOptions& options);

  // One update. Errors are equal on all ranks, except where a collective fails (UNAVAILABLE). INVALID_ARGUMENT: an
  // embedding, a score or the gradient is not finite; the message names the text at fault if it is known. Nothing was
  // updated. FAILED_PRECONDITION: the ranks hold different plans, or different assignments of a plan to ranks (reason
  // RANKS_DISAGREE); or a share has no teacher's scores although the job distills, or none of data.noise although the job has it.
  absl::StatusOr<StepReport> Step(const StepBatch& batch, StopRequest stop = StopRequest::kNone);

  // The part of Step before the update: gradients() then holds the sums over all ranks, in the parameters' order,
  // until the next step.
  absl::StatusOr<StepReport> Differentiate(const StepBatch& batch, StopRequest stop = StopRequest::kNone);
  const std::vector<at::Tensor>& gradients() const { return gradients_.views(); }

  AdamW& optimizer() { return optimizer_; }

 private:
  // The stages of Differentiate.
  std::vector<at::Tensor> Encode(const StepBatch& batch, EmbeddingGather& gather);
  absl::StatusOr<at::Tensor> GatherBySlot(const GatherOrder& order, EmbeddingGather& gather, StepReport& report);
  std::optional<TeacherLists> TeacherOf(const StepBatch& batch) const;
  LossResult EvaluateOwnRows(const StepBatch& batch, const at::Tensor& by_slot);
  absl::Status ExchangeTallies(const StepBatch& batch, const LossResult& loss, const at::Tensor& by_slot, StopRequest stop,
                               StepReport& report);
  void Backward(const StepBatch& batch, std::vector<at::Tensor> graphs, const at::Tensor& gradient,
                GradientReduction& reduction);

  absl::Status ExplainNonFinite(const StepBatch& batch, const at::Tensor& embeddings, int64_t row);
  absl::StatusOr<std::string> DescribeSlot(const StepBatch& batch, int64_t slot);
  absl::Status Update(StepReport& report);
  const TrainingStage& StageOf(uint64_t step) const;
  Dropout DropoutAt(uint64_t step) const;
  void Enter(StepPhase phase) const;

  Encoder& encoder_;
  Group& group_;
  const TrainerOptions options_;
  const std::vector<TrainingStage> stages_;  // never empty
  const std::vector<EmbeddingCut> cuts_;
  AdamW optimizer_;
  FlatGradients gradients_;
  const std::shared_ptr<Streams> streams_;
  PhaseClock phases_;
  double own_work_ = 0;  // seconds of kEncode, kLoss and kBackward in the last step's report
};

}  // namespace muster
