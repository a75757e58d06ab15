// One optimizer update over the global batch, the same on any number of ranks.
//
// Law: gradients are sums, divided only by R, the weight of the valid rows of the whole batch, which comes with
// the batch. There is no factor W anywhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/sample_ledger.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/collective/activity_board.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/loss/matryoshka.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/train/batch.h"
#include "worker/rank/train/flat_gradients.h"
#include "worker/rank/train/optimizer.h"
#include "worker/rank/train/stop_request.h"

namespace muster {

struct TrainerOptions {
  muster::v1::OptimizerSpec optimizer;
  muster::v1::LossSpec loss;
  uint64_t keep_activations = 0;  // bytes of graphs that are kept; the other micro-batches are replayed
  uint64_t seed = 0;
  double hidden_dropout = 0, attention_dropout = 0;
  AttentionKeys attention_keys = AttentionKeys::kSequence;
  uint64_t total_steps = 1;
  int64_t tile_rows = 0, tile_columns = 0;  // 0: what the device plans
  std::filesystem::path tokenizer;  // folder with vocab.txt, to name texts in errors by their words; empty: by token ids
  ActivityBoard* board = nullptr;  // shows the phase of the step in progress; null: nobody looks
};

// Which micro-batches' graphs are kept, in order: each that still fits the budget beside those kept before it.
std::vector<bool> GraphsToKeep(std::span<const uint64_t> bytes, uint64_t budget);

// From a specification with its defaults filled in.
TrainerOptions TrainerOptionsFrom(const muster::v1::JobSpec& spec, const EncoderConfig& config, uint64_t total_steps);

// What a step says about itself. Counts and means are of the global batch, alike on all ranks; seconds are own.
struct StepReport {
  uint64_t step = 0;
  double loss = 0, learning_rate = 0, gradient_norm = 0;  // the norm before clipping
  int64_t queries = 0, valid_rows = 0, tokens = 0, ignored_pairs = 0;
  int64_t negative_pairs = 0;                   // 0: no query had a negative
  double mean_positive = 0, mean_negative = 0;  // similarities, before temperature
  double positive_entropy = 0;                  // mean over valid rows, in nats
  QuerySum applied;                             // whose rows the update holds, of all ranks
  uint64_t gathered_bytes = 0;                  // of the embeddings of all ranks
  double rank_skew_seconds = 0;                 // slowest less fastest rank's own work, of the step before
  double product_share = 0;                     // of the device's product rate; who measures it sets it; 0: not measured
  uint64_t peak_memory_bytes = 0;               // likewise
  StopRequest stop = StopRequest::kNone;        // a rank was asked to stop: all do, after this step
  std::map<std::string, double> seconds;        // encode, gather, loss, backward, reduce, optimise
};

// Not thread-safe; encoder and group must outlive it.
class Trainer {
 public:
  Trainer(Encoder& encoder, Group& group, const Clock& clock, const TrainerOptions& options);

  // One update. Errors are alike on all ranks, except where a collective fails (UNAVAILABLE). INVALID_ARGUMENT: an
  // embedding, a score or the gradient is not finite, and the text at fault is named where there is one; nothing was
  // updated. FAILED_PRECONDITION: the ranks hold different plans, or plans that are dealt to the ranks differently
  // (reason RANKS_DISAGREE).
  absl::StatusOr<StepReport> Step(const StepBatch& batch, StopRequest stop = StopRequest::kNone);

  // The part of Step before the update: gradients() then holds the sums over all ranks, in the parameters' order,
  // until the next step.
  absl::StatusOr<StepReport> Differentiate(const StepBatch& batch, StopRequest stop = StopRequest::kNone);
  const std::vector<at::Tensor>& gradients() const { return gradients_.views(); }

  AdamW& optimizer() { return optimizer_; }

 private:
  struct Encoded;
  Encoded Encode(const StepBatch& batch);
  void Backward(const StepBatch& batch, Encoded own, const at::Tensor& gradient);
  absl::Status ComparePlans(const StepBatch& batch);
  absl::Status ExplainNonFinite(const StepBatch& batch, const at::Tensor& embeddings, int64_t row);
  absl::StatusOr<std::string> DescribeSlot(const StepBatch& batch, int64_t slot);
  absl::Status Update(StepReport& report);
  Dropout DropoutAt(uint64_t step) const;
  void Enter(absl::string_view phase) const;

  Encoder& encoder_;
  Group& group_;
  const Clock& clock_;
  const TrainerOptions options_;
  const std::vector<EmbeddingCut> cuts_;
  AdamW optimizer_;
  FlatGradients gradients_;
  double own_work_ = 0;  // seconds of the last step that waited for nobody
};

// Reason of an error that says that the ranks hold different plans or parameters.
inline constexpr char kRanksDisagree[] = "RANKS_DISAGREE";

}  // namespace muster
