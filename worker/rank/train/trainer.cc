#include "worker/rank/train/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/exception_status.h"
#include "common/spec/label_noise.h"
#include "common/spec/stages.h"
#include "common/status.h"
#include "worker/rank/device/upload.h"
#include "worker/rank/train/part_rates.h"
#include "worker/rank/train/schedule.h"
#include "worker/rank/train/step_tally.h"
#include "worker/rank/train/text_of.h"

namespace muster {
namespace {

// For each slot, its position among the rows that the ranks send.
std::vector<int64_t> PlacesOfSlots(const GatherOrder& order) {
  std::vector<int64_t> places(order.slots.size());
  for (size_t i = 0; i < places.size(); ++i) places[order.slots[i]] = static_cast<int64_t>(i);
  return places;
}

// The loss's gradients as the ranks send them; rows of other ranks' queries are 0. Gathers by the inverse permutation: in
// deterministic mode a GPU sorts the indices of a scatter first.
at::Tensor InGatherOrder(LossResult loss, const StepBatch& batch, const GatherOrder& order) {
  const at::Tensor slots = IndicesOn(loss.d_passages.device(), order.slots);
  at::Tensor by_slot = at::zeros({slots.numel(), loss.d_passages.size(1)}, loss.d_passages.options());
  by_slot.narrow(0, batch.row_begin, batch.row_end - batch.row_begin).copy_(loss.d_queries);
  by_slot.narrow(0, batch.query_count, batch.passage_count).copy_(loss.d_passages);
  loss = {};  // so that at most two copies exist
  return by_slot.index_select(0, slots);
}

// Turns a library's exception into the step's error.
absl::Status StepError(uint64_t step, const std::exception& error) {
  return StatusFromException(absl::StatusCode::kInternal, absl::StrCat("step ", step), error);
}

std::vector<TrainingStage> StagesOrOne(const TrainerOptions& options) {
  if (!options.stages.empty()) return options.stages;
  return {{.steps = options.total_steps, .optimizer = options.optimizer}};
}

}  // namespace

std::vector<TrainingStage> TrainingStagesOf(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved) {
  std::vector<TrainingStage> stages;
  if (spec.stages().empty()) return stages;
  for (const Stage& stage : StagesOf(resolved)) {
    stages.push_back({.begin = stage.begin,
                      .steps = stage.end - stage.begin,
                      .optimizer = SpecOfStage(spec, stages.size()).optimizer()});
  }
  return stages;
}

absl::StatusOr<TrainerOptions> TrainerOptionsFrom(const muster::v1::JobSpec& spec, const EncoderConfig& config,
                                                  uint64_t total_steps) {
  const muster::v1::BatchSpec& batch = spec.batch();
  if (batch.micro_batch_tokens() == 0 || !batch.has_keep_activations()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the specification has no ",
                     batch.micro_batch_tokens() == 0 ? "batch.micro_batch_tokens" : "batch.keep_activations",
                     ", whose default depends on the device. Set it, or set resources.device to cpu or gpu"));
  }
  const muster::v1::ModelSpec& model = spec.model();
  const double hidden = model.has_dropout() ? model.dropout() : config.hidden_dropout,
               attention = model.has_dropout() ? model.dropout() : config.attention_dropout;
  return TrainerOptions{.optimizer = spec.optimizer(),
                        .loss = spec.loss(),
                        .label_noise = HasNoise(spec.data()),
                        .keep_activations = spec.batch().keep_activations(),
                        .seed = spec.seed(),
                        .hidden_dropout = model.has_hidden_dropout() ? model.hidden_dropout() : hidden,
                        .attention_dropout = model.has_attention_dropout() ? model.attention_dropout() : attention,
                        .attention_keys = model.attention_dropout_keys() == muster::v1::ATTENTION_DROPOUT_KEYS_LAUNCH
                                              ? AttentionKeys::kLaunch
                                              : AttentionKeys::kSequence,
                        .total_steps = total_steps};
}

std::vector<bool> GraphsToKeep(std::span<const uint64_t> bytes, uint64_t budget) {
  std::vector<bool> keep;
  uint64_t left = budget;
  for (const uint64_t graph : bytes) {
    keep.push_back(graph <= left);
    if (keep.back()) left -= graph;
  }
  return keep;
}

Trainer::Trainer(Encoder& encoder, Group& group, const Clock& clock, const TrainerOptions& options)
    : encoder_(encoder),
      group_(group),
      options_(options),
      stages_(StagesOrOne(options)),
      cuts_(CutsOf(options.loss)),
      optimizer_(encoder.parameters(), {.weight_decay = options.optimizer.weight_decay(),
                                        .beta1 = options.optimizer.beta1(),
                                        .beta2 = options.optimizer.beta2(),
                                        .epsilon = options.optimizer.epsilon()},
                 RateGroupsOf(stages_.front().optimizer, encoder.parameters(), encoder.config().layers)),
      gradients_(encoder.parameters()),
      streams_(options.streams != nullptr ? options.streams
                                          : std::shared_ptr<Streams>(MakeStreams(encoder.options().device, clock))),
      phases_(*streams_) {}

// Steps beyond the end count to the last stage.
const TrainingStage& Trainer::StageOf(uint64_t step) const {
  const auto next = std::ranges::find_if(stages_.begin() + 1, stages_.end(),
                                         [&](const TrainingStage& stage) { return stage.begin > step; });
  return *(next - 1);
}

// Masks are those of the step within its stage.
Dropout Trainer::DropoutAt(uint64_t step) const {
  return {.hidden = options_.hidden_dropout,
          .attention = options_.attention_dropout,
          .seed = options_.seed,
          .step = step - StageOf(step).begin,
          .attention_keys = options_.attention_keys};
}

void Trainer::Enter(StepPhase phase) const {
  if (options_.board != nullptr) options_.board->SetPhase(PhaseName(phase));
}

// Puts the embeddings of this rank's sequences into the gather. Returns those of each micro-batch whose graph is kept.
std::vector<at::Tensor> Trainer::Encode(const StepBatch& batch, EmbeddingGather& gather) {
  const Dropout dropout = DropoutAt(batch.step);
  std::vector<uint64_t> bytes;
  for (const PackedBatch& micro : batch.micro_batches) {
    bytes.push_back(Encoder::GraphBytes(encoder_.config(), micro, encoder_.options().bfloat16));
  }
  const std::vector<bool> keep = GraphsToKeep(bytes, options_.keep_activations);
  std::vector<at::Tensor> graphs(batch.micro_batches.size());  // undefined: will be replayed
  int64_t first = 0;
  for (size_t i = 0; i < batch.micro_batches.size(); ++i) {
    const PackedBatch& micro = batch.micro_batches[i];
    at::AutoGradMode with_graph(keep[i]);
    const at::Tensor embeddings = encoder_.Encode(micro, dropout);
    if (embeddings.requires_grad()) graphs[i] = embeddings;
    gather.own_rows().narrow(0, first, micro.size()).copy_(embeddings.detach());
    first += micro.size();
    gather.Encoded(first);
  }
  return graphs;
}

// Rows by slot: [queries and passages, d].
absl::StatusOr<at::Tensor> Trainer::GatherBySlot(const GatherOrder& order, EmbeddingGather& gather, StepReport& report) {
  const at::NoGradGuard no_gradient;
  ASSIGN_OR_RETURN(const at::Tensor gathered, gather.Finish());
  report.gathered_bytes = gathered.nbytes();
  return gathered.index_select(0, IndicesOn(gathered.device(), PlacesOfSlots(order)));
}

std::optional<TeacherLists> Trainer::TeacherOf(const StepBatch& batch) const {
  if (!options_.loss.has_distill()) return std::nullopt;
  const muster::v1::DistillSpec& distill = options_.loss.distill();
  return TeacherLists{.lists = batch.teacher_lists,
                      .scores = batch.teacher_scores,
                      .kind = distill.kind(),
                      .weight = distill.weight(),
                      .temperature = distill.temperature()};
}

LossResult Trainer::EvaluateOwnRows(const StepBatch& batch, const at::Tensor& by_slot) {
  const at::NoGradGuard no_gradient;
  const muster::v1::LossSpec& loss = options_.loss;
  const auto margin = loss.has_false_negatives() ? std::optional<double>(loss.false_negatives().margin()) : std::nullopt;
  return EvaluateLossOfCuts({.queries = by_slot.narrow(0, batch.row_begin, batch.row_end - batch.row_begin),
                             .passages = by_slot.narrow(0, batch.query_count, batch.passage_count),
                             .positives = batch.positives,
                             .ignored = batch.ignored,
                             .positive_weights = batch.positive_weights,
                             .noise = batch.noise,
                             .row_weights = batch.row_weights,
                             .total_weight = batch.total_weight,
                             .objective = loss.objective(),
                             .temperature = loss.temperature(),
                             .false_negative_margin = margin,
                             .teacher = TeacherOf(batch),
                             .without_objective = loss.distill().only(),
                             .tile_rows = options_.tile_rows,
                             .tile_columns = options_.tile_columns,
                             .ops = options_.tile_ops},
                            cuts_, encoder_.config().normalize);
}

// Returns an error if any rank has found a number that is not finite.
absl::Status Trainer::ExchangeTallies(const StepBatch& batch, const LossResult& loss, const at::Tensor& by_slot,
                                      StopRequest stop, StepReport& report) {
  Tally tally{.loss = loss.loss_sum,
              .positive_sum = loss.positive_sum,
              .negative_sum = loss.negative_sum,
              .entropy_sum = loss.entropy_sum,
              .valid_rows = loss.valid_rows,
              .positive_pairs = loss.positive_pairs,
              .negative_pairs = loss.negative_pairs,
              .ignored_pairs = loss.ignored_pairs,
              .tokens = batch.tokens,
              .stop = static_cast<int64_t>(stop),
              .weights = loss.weights,
              .work_seconds = own_work_};
  for (const uint64_t digest : batch.query_digests) tally.queries.Add(digest);
  if (loss.first_non_finite_row >= 0) tally.faulty_row = batch.row_begin + loss.first_non_finite_row;
  tally.faulty = tally.faulty_row >= 0 || loss.first_non_finite_passage >= 0;
  ASSIGN_OR_RETURN(const std::vector<Tally> tallies, GatherValues(group_, tally));
  for (const Tally& other : tallies) {
    if (other.faulty != 0) return ExplainNonFinite(batch, by_slot, other.faulty_row);
  }
  MergeTallies(tallies, report);
  if (!options_.label_noise) report.noise_weight.reset();
  return absl::OkStatus();
}

// Runs in the order of the micro-batches, kept or replayed, so the sums have equal bits. `gradient` is the embeddings'.
// The reduction of the gradients begins during the last micro-batch.
void Trainer::Backward(const StepBatch& batch, std::vector<at::Tensor> graphs, const at::Tensor& gradient,
                       GradientReduction& reduction) {
  at::AutoGradMode with_graph(true);
  int64_t first = 0;
  for (size_t i = 0; i < batch.micro_batches.size(); ++i) {
    const PackedBatch& micro = batch.micro_batches[i];
    at::Tensor embeddings = std::exchange(graphs[i], at::Tensor());
    if (!embeddings.defined()) embeddings = encoder_.Encode(micro, DropoutAt(batch.step));
    if (i + 1 == batch.micro_batches.size()) reduction.ExpectLast();
    torch::autograd::backward({embeddings}, {gradient.narrow(0, first, micro.size()).to(embeddings.dtype())});
    first += micro.size();
  }
}

// "query 3 of the batch (query digest 00ab...), which begins "[CLS] red fish"", with the parts that each rank knows. All ranks
// call this together.
absl::StatusOr<std::string> Trainer::DescribeSlot(const StepBatch& batch, int64_t slot) {
  std::string text, digest;
  for (const PackedBatch& micro : batch.micro_batches) {
    const auto tokens = TokensOfSlot(micro, static_cast<uint32_t>(slot));
    if (tokens.has_value()) text = BeginningOf(*tokens, options_.tokenizer);
  }
  const int64_t row = slot - batch.row_begin;
  if (slot < batch.row_end && row >= 0 && row < static_cast<int64_t>(batch.query_digests.size())) {
    digest = absl::StrFormat(" (query digest %016x)", batch.query_digests[row]);
  }
  ASSIGN_OR_RETURN(const auto texts, group_.AllGatherBytes(text));
  ASSIGN_OR_RETURN(const auto digests, group_.AllGatherBytes(digest));
  const bool is_query = slot < batch.query_count;
  return absl::StrCat(is_query ? "query " : "passage ", is_query ? slot : slot - batch.query_count, " of the batch",
                      absl::StrJoin(digests, ""), ", which begins ", absl::StrJoin(texts, ""));
}

// All ranks hold the same embeddings, so all return the same message. `row`: if every embedding is finite, the query whose
// scores may overflow.
absl::Status Trainer::ExplainNonFinite(const StepBatch& batch, const at::Tensor& embeddings, int64_t row) {
  const at::Tensor bad = at::isfinite(embeddings).all(1).logical_not().to(at::kInt);
  const int64_t count = bad.sum().item<int64_t>(), slots = embeddings.size(0);
  const std::string step = absl::StrCat("step ", batch.step, ": ");
  if (count == slots) {
    return absl::InvalidArgumentError(absl::StrCat(
        step, "no embedding of the batch is finite, so the model's weights are not. Lower optimizer.learning_rate, or "
              "start from another model."));
  }
  ASSIGN_OR_RETURN(const std::string what, DescribeSlot(batch, count > 0 ? bad.argmax().item<int64_t>() : row));
  if (count > 0) {
    return absl::InvalidArgumentError(absl::StrCat(step, "the embedding of ", what, ", is not finite (", count, " of ",
                                                   slots, " are not). Look at its text, or lower "
                                                          "optimizer.learning_rate."));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      step, "the scores of ", what, ", may not be finite: its length times the longest passage's over loss.temperature "
            "is above 1e38. Set model.normalize, raise loss.temperature, or lower optimizer.learning_rate."));
}

absl::StatusOr<StepReport> Trainer::Differentiate(const StepBatch& batch, StopRequest stop) try {
  StepReport report{.step = batch.step, .queries = batch.query_count};
  if (options_.loss.has_distill() && batch.teacher_lists.rows() != batch.row_end - batch.row_begin) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", batch.step, ": the data server sent no teacher's scores, and the job has loss.distill. Upgrade "
                     "the data server."));
  }
  if (options_.label_noise && !batch.has_noise) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", batch.step, ": the data server does not know data.noise, and the job has it. Upgrade the data "
                     "server."));
  }
  phases_.Begin();
  AwaitUpload(batch, *streams_);
  ASSIGN_OR_RETURN(const GatherOrder order, ExchangeGatherOrder(group_, batch));
  phases_.Mark(StepPhase::kGather);

  Enter(StepPhase::kEncode);
  const FlatGradients::Collecting collecting(gradients_, encoder_.parameters());
  const int64_t width = encoder_.config().EmbeddingSize();
  const at::TensorOptions like = encoder_.parameters().front().value.options().requires_grad(false);
  const uint64_t bytes = order.slots.size() * width * like.dtype().itemsize();
  EmbeddingGather gather(group_, order.rank_counts, width, like, GatherChunks(bytes));
  std::vector<at::Tensor> graphs = Encode(batch, gather);
  phases_.Mark(StepPhase::kEncode);

  ASSIGN_OR_RETURN(at::Tensor by_slot, GatherBySlot(order, gather, report));
  phases_.Mark(StepPhase::kGather);

  Enter(StepPhase::kLoss);
  LossResult loss = EvaluateOwnRows(batch, by_slot);
  phases_.Mark(StepPhase::kLoss);
  RETURN_IF_ERROR(ExchangeTallies(batch, loss, by_slot, stop, report));
  by_slot.reset();
  at::Tensor gradient = InGatherOrder(std::move(loss), batch, order);
  ASSIGN_OR_RETURN(const at::Tensor d_own,
                   group_.ReduceScatterRowsSum(std::exchange(gradient, at::Tensor()), order.rank_counts));
  phases_.Mark(StepPhase::kGather);

  Enter(StepPhase::kBackward);
  GradientReduction reduction(gradients_, encoder_.parameters(), group_);
  Backward(batch, std::move(graphs), d_own, reduction);
  phases_.Mark(StepPhase::kBackward);
  RETURN_IF_ERROR(reduction.Finish());
  phases_.Mark(StepPhase::kReduce);
  return report;
} catch (const std::exception& error) {
  return StepError(batch.step, error);
}

absl::Status Trainer::Update(StepReport& report) {
  at::NoGradGuard no_gradient;
  // All ranks use rank 0's norm: with a different thread count another rank's sum may round differently.
  ASSIGN_OR_RETURN(const auto norms, GatherValues(group_, gradients_.Norm()));
  report.gradient_norm = norms[0];
  if (!std::isfinite(report.gradient_norm)) {
    return absl::InvalidArgumentError(
        absl::StrCat("step ", report.step, ": the gradient is not finite. Lower optimizer.learning_rate."));
  }
  const double factor = ClipFactor(report.gradient_norm, options_.optimizer.max_grad_norm());
  const TrainingStage& stage = StageOf(report.step);
  if (report.step == stage.begin && report.step > 0) optimizer_.Reset();
  const uint64_t step = report.step - stage.begin;
  report.learning_rate = LearningRateAt(stage.optimizer, step, stage.steps);
  std::vector<double> rates = MaximaOf(stage.optimizer, encoder_.config().layers);
  for (double& rate : rates) rate = LearningRateAt(stage.optimizer, rate, step, stage.steps);
  optimizer_.Update(gradients_.views(), rates, factor);
  return absl::OkStatus();
}

absl::StatusOr<StepReport> Trainer::Step(const StepBatch& batch, StopRequest stop) {
  ASSIGN_OR_RETURN(StepReport report, Differentiate(batch, stop));
  Enter(StepPhase::kOptimize);
  try {
    RETURN_IF_ERROR(Update(report));
    phases_.Mark(StepPhase::kOptimize);
    report.seconds = phases_.Finish();
  } catch (const std::exception& error) {
    return StepError(batch.step, error);
  }
  own_work_ = 0;
  for (const StepPhase phase : {StepPhase::kEncode, StepPhase::kLoss, StepPhase::kBackward}) {
    if (const auto found = report.seconds.find(phase); found != report.seconds.end()) own_work_ += found->second;
  }
  return report;
}

}  // namespace muster
