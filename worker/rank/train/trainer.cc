#include "worker/rank/train/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/random.h"
#include "common/status.h"
#include "worker/rank/train/schedule.h"
#include "worker/rank/train/text_of.h"

namespace muster {
namespace {

// What each rank tells the others after its rows. Plain bytes: all ranks run one build.
struct Tally {
  double loss = 0, positive_sum = 0, negative_sum = 0, entropy_sum = 0;
  int64_t valid_rows = 0, positive_pairs = 0, negative_pairs = 0, ignored_pairs = 0, tokens = 0;
  int64_t faulty = 0;        // an embedding or a score is not finite
  int64_t faulty_row = -1;   // of the global batch: the query whose scores may not be finite
  int64_t stop = 0;
  QuerySum queries;  // of own rows
  double work_seconds = 0;  // own, of the step before; 0: there was none
};

template <typename T>
absl::StatusOr<std::vector<T>> GatherValues(Group& group, const T& own) {
  ASSIGN_OR_RETURN(const auto all, group.AllGatherBytes(std::string(reinterpret_cast<const char*>(&own), sizeof(T))));
  std::vector<T> values(all.size());
  for (size_t r = 0; r < all.size(); ++r) {
    if (all[r].size() != sizeof(T)) return absl::FailedPreconditionError("ranks of different builds are in one group");
    std::memcpy(&values[r], all[r].data(), sizeof(T));
  }
  return values;
}

class PhaseTimer {
 public:
  PhaseTimer(const Clock& clock, at::Device device, std::map<std::string, double>& seconds)
      : clock_(clock), device_(device), seconds_(seconds), last_(clock.Monotonic()) {}
  // Waits for a GPU, so that a phase is charged with its own work.
  void Mark(const char* phase) {
    if (!device_.is_cpu()) c10::impl::VirtualGuardImpl(device_.type()).synchronizeDevice(device_.index());
    const absl::Duration now = clock_.Monotonic();
    seconds_[phase] += absl::ToDoubleSeconds(now - last_);
    last_ = now;
  }
  // Since the last mark; for what has just waited for the GPU's result.
  double Since() const { return absl::ToDoubleSeconds(clock_.Monotonic() - last_); }

 private:
  const Clock& clock_;
  const at::Device device_;
  std::map<std::string, double>& seconds_;
  absl::Duration last_;
};

at::Tensor Indices(const std::vector<int64_t>& values, at::Device device) {
  return at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())},
                       at::TensorOptions().dtype(at::kLong))
      .to(device, /*non_blocking=*/false, /*copy=*/true);
}

// Of who encodes what: gathered rows mean something else to a rank with another deal.
uint64_t DealDigest(const StepBatch& batch) {
  uint64_t digest = 0;
  for (const int64_t count : batch.rank_counts) digest = MixKey(digest, static_cast<uint64_t>(count));
  for (const int64_t slot : batch.gather_slots) digest = MixKey(digest, static_cast<uint64_t>(slot));
  return digest;
}

// Rows as the ranks send them → rows by slot. Gathers by the inverse permutation: in deterministic mode a GPU sorts the
// indices of a scatter first. Takes its argument, so that no more than two copies exist.
at::Tensor BySlot(at::Tensor gathered, const StepBatch& batch) {
  std::vector<int64_t> places(batch.gather_slots.size());
  for (size_t i = 0; i < places.size(); ++i) places[batch.gather_slots[i]] = static_cast<int64_t>(i);
  return gathered.index_select(0, Indices(places, gathered.device()));
}

// The loss's gradients as the ranks send them; rows of other ranks' queries are 0.
at::Tensor InGatherOrder(LossResult loss, const StepBatch& batch) {
  const at::Tensor slots = Indices(batch.gather_slots, loss.d_passages.device());
  at::Tensor by_slot = at::zeros({slots.numel(), loss.d_passages.size(1)}, loss.d_passages.options());
  by_slot.narrow(0, batch.row_begin, batch.row_end - batch.row_begin).copy_(loss.d_queries);
  by_slot.narrow(0, batch.query_count, batch.passage_count).copy_(loss.d_passages);
  loss = {};  // no more than two copies exist
  return by_slot.index_select(0, slots);
}

// Sums in rank order, so that all ranks hold equal bits.
void Summarise(const std::vector<Tally>& tallies, StepReport& report) {
  Tally sum;
  for (const Tally& tally : tallies) {
    sum.loss += tally.loss;
    sum.positive_sum += tally.positive_sum;
    sum.negative_sum += tally.negative_sum;
    sum.entropy_sum += tally.entropy_sum;
    sum.valid_rows += tally.valid_rows;
    sum.positive_pairs += tally.positive_pairs;
    sum.negative_pairs += tally.negative_pairs;
    sum.ignored_pairs += tally.ignored_pairs;
    sum.tokens += tally.tokens;
    report.stop = Together(report.stop, static_cast<StopRequest>(tally.stop));
    report.applied.Add(tally.queries);
  }
  const auto [fastest, slowest] = std::minmax_element(
      tallies.begin(), tallies.end(), [](const Tally& a, const Tally& b) { return a.work_seconds < b.work_seconds; });
  if (fastest->work_seconds > 0) report.rank_skew_seconds = slowest->work_seconds - fastest->work_seconds;
  const auto mean = [](double total, int64_t count) { return count > 0 ? total / count : 0; };
  report.loss = sum.loss;
  report.valid_rows = sum.valid_rows;
  report.ignored_pairs = sum.ignored_pairs;
  report.negative_pairs = sum.negative_pairs;
  report.tokens = sum.tokens;
  report.mean_positive = mean(sum.positive_sum, sum.positive_pairs);
  report.mean_negative = mean(sum.negative_sum, sum.negative_pairs);
  report.positive_entropy = mean(sum.entropy_sum, sum.valid_rows);
}

}  // namespace

TrainerOptions TrainerOptionsFrom(const muster::v1::JobSpec& spec, const EncoderConfig& config, uint64_t total_steps) {
  const muster::v1::ModelSpec& model = spec.model();
  const double hidden = model.has_dropout() ? model.dropout() : config.hidden_dropout,
               attention = model.has_dropout() ? model.dropout() : config.attention_dropout;
  return {.optimizer = spec.optimizer(),
          .loss = spec.loss(),
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

// Embeddings of own sequences, in the order of the micro-batches.
struct Trainer::Encoded {
  std::vector<at::Tensor> graphs;  // of each micro-batch, with its graph; undefined: to be replayed
  at::Tensor rows;                 // [own sequences, d], without a graph
};

Trainer::Trainer(Encoder& encoder, Group& group, const Clock& clock, const TrainerOptions& options)
    : encoder_(encoder),
      group_(group),
      clock_(clock),
      options_(options),
      cuts_(CutsOf(options.loss)),
      optimizer_(encoder.parameters(), {.weight_decay = options.optimizer.weight_decay(),
                                        .beta1 = options.optimizer.beta1(),
                                        .beta2 = options.optimizer.beta2(),
                                        .epsilon = options.optimizer.epsilon()}),
      gradients_(encoder.parameters()) {}

Dropout Trainer::DropoutAt(uint64_t step) const {
  return {.hidden = options_.hidden_dropout,
          .attention = options_.attention_dropout,
          .seed = options_.seed,
          .step = step,
          .attention_keys = options_.attention_keys};
}

void Trainer::Enter(absl::string_view phase) const {
  if (options_.board != nullptr) options_.board->SetPhase(phase);
}

Trainer::Encoded Trainer::Encode(const StepBatch& batch) {
  const Dropout dropout = DropoutAt(batch.step);
  const at::TensorOptions like = encoder_.parameters().front().value.options().requires_grad(false);
  Encoded own{.graphs = std::vector<at::Tensor>(batch.micro_batches.size()),
              .rows = at::empty({batch.rank_counts[group_.rank()], encoder_.config().EmbeddingSize()}, like)};
  std::vector<uint64_t> bytes;
  for (const PackedBatch& micro : batch.micro_batches) {
    bytes.push_back(Encoder::GraphBytes(encoder_.config(), micro, dropout.hidden > 0 || dropout.attention > 0,
                                        encoder_.options().bfloat16));
  }
  const std::vector<bool> keep = GraphsToKeep(bytes, options_.keep_activations);
  int64_t first = 0;
  for (size_t i = 0; i < batch.micro_batches.size(); ++i) {
    const PackedBatch& micro = batch.micro_batches[i];
    at::AutoGradMode with_graph(keep[i]);
    const at::Tensor embeddings = encoder_.Encode(micro, dropout);
    if (embeddings.requires_grad()) own.graphs[i] = embeddings;
    own.rows.narrow(0, first, micro.size()).copy_(embeddings.detach());
    first += micro.size();
  }
  return own;
}

// In the order of the micro-batches, kept or replayed: the sums have equal bits either way.
void Trainer::Backward(const StepBatch& batch, Encoded own, const at::Tensor& gradient) {
  at::AutoGradMode with_graph(true);
  int64_t first = 0;
  for (size_t i = 0; i < batch.micro_batches.size(); ++i) {
    const PackedBatch& micro = batch.micro_batches[i];
    at::Tensor embeddings = std::move(own.graphs[i]);
    if (!embeddings.defined()) embeddings = encoder_.Encode(micro, DropoutAt(batch.step));
    torch::autograd::backward({embeddings}, {gradient.narrow(0, first, micro.size()).to(embeddings.dtype())});
    first += micro.size();
  }
}

absl::Status Trainer::ComparePlans(const StepBatch& batch) {
  struct Plan {
    uint64_t step, digest, deal;
  };
  ASSIGN_OR_RETURN(const auto plans, GatherValues(group_, Plan{batch.step, batch.plan_digest, DealDigest(batch)}));
  for (size_t r = 0; r < plans.size(); ++r) {
    if (plans[r].step == plans[0].step && plans[r].digest == plans[0].digest && plans[r].deal != plans[0].deal) {
      return WithReason(absl::FailedPreconditionError(absl::StrFormat(
                            "rank %d and rank 0 hold step %d dealt to the ranks differently: data servers of two "
                            "versions serve the job",
                            r, batch.step)),
                        kRanksDisagree);
    }
    if (plans[r].step != plans[0].step || plans[r].digest != plans[0].digest) {
      return WithReason(
          absl::FailedPreconditionError(absl::StrFormat(
              "rank %d holds step %d with plan %016x, rank 0 holds step %d with plan %016x: the data servers differ", r,
              plans[r].step, plans[r].digest, plans[0].step, plans[0].digest)),
          kRanksDisagree);
    }
  }
  return absl::OkStatus();
}

// "query 3 of the batch (query digest 00ab...), which begins "[CLS] red fish"", from what each rank knows. All ranks call
// this together.
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

// All ranks hold the same embeddings, so all come to the same words. `row`: where every embedding is finite, the query
// whose scores may overflow.
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
  PhaseTimer timer(clock_, encoder_.options().device, report.seconds);
  RETURN_IF_ERROR(ComparePlans(batch));
  const FlatGradients::Collecting collecting(gradients_, encoder_.parameters());
  Enter("encode");
  Encoded own = Encode(batch);
  timer.Mark("encode");
  double work = report.seconds["encode"];

  at::NoGradGuard no_gradient;
  ASSIGN_OR_RETURN(at::Tensor gathered, group_.AllGatherRows(std::exchange(own.rows, at::Tensor()), batch.rank_counts));
  report.gathered_bytes = gathered.nbytes();
  at::Tensor all = BySlot(std::move(gathered), batch);
  timer.Mark("gather");

  Enter("loss");
  const int64_t rows = batch.row_end - batch.row_begin;
  LossResult loss = EvaluateLossOfCuts({.queries = all.narrow(0, batch.row_begin, rows),
                                        .passages = all.narrow(0, batch.query_count, batch.passage_count),
                                        .positives = batch.positives,
                                        .ignored = batch.ignored,
                                        .positive_weights = batch.positive_weights,
                                        .row_weights = batch.row_weights,
                                        .total_weight = batch.total_weight,
                                        .objective = options_.loss.objective(),
                                        .temperature = options_.loss.temperature(),
                                        .tile_rows = options_.tile_rows,
                                        .tile_columns = options_.tile_columns},
                                       cuts_, encoder_.config().normalize);
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
              .work_seconds = own_work_};
  for (const uint64_t digest : batch.query_digests) tally.queries.Add(digest);
  work += timer.Since();
  if (loss.first_non_finite_row >= 0) tally.faulty_row = batch.row_begin + loss.first_non_finite_row;
  tally.faulty = tally.faulty_row >= 0 || loss.first_non_finite_passage >= 0;
  ASSIGN_OR_RETURN(const std::vector<Tally> tallies, GatherValues(group_, tally));
  for (const Tally& other : tallies) {
    if (other.faulty != 0) return ExplainNonFinite(batch, all, other.faulty_row);
  }
  Summarise(tallies, report);
  all.reset();
  at::Tensor sent = InGatherOrder(std::move(loss), batch);
  timer.Mark("loss");

  ASSIGN_OR_RETURN(const at::Tensor d_own, group_.ReduceScatterRowsSum(std::exchange(sent, at::Tensor()), batch.rank_counts));
  timer.Mark("gather");
  Enter("backward");
  Backward(batch, std::move(own), d_own);
  timer.Mark("backward");
  own_work_ = work + report.seconds["backward"];

  RETURN_IF_ERROR(group_.AllReduceSum(gradients_.buckets()));
  timer.Mark("reduce");
  return report;
} catch (const std::exception& error) {
  const std::string text = error.what();
  return absl::InternalError(absl::StrCat("step ", batch.step, ": ", text.substr(0, text.find('\n'))));
}

absl::Status Trainer::Update(StepReport& report) {
  at::NoGradGuard no_gradient;
  // All ranks use rank 0's norm: on another kind of GPU the sum may round differently.
  ASSIGN_OR_RETURN(const auto norms, GatherValues(group_, gradients_.Norm()));
  report.gradient_norm = norms[0];
  if (!std::isfinite(report.gradient_norm)) {
    return absl::InvalidArgumentError(
        absl::StrCat("step ", report.step, ": the gradient is not finite. Lower optimizer.learning_rate."));
  }
  const double factor = ClipFactor(report.gradient_norm, options_.optimizer.max_grad_norm());
  report.learning_rate = LearningRateAt(options_.optimizer, report.step, options_.total_steps);
  optimizer_.Update(gradients_.views(), report.learning_rate, factor);
  return absl::OkStatus();
}

absl::StatusOr<StepReport> Trainer::Step(const StepBatch& batch, StopRequest stop) {
  ASSIGN_OR_RETURN(StepReport report, Differentiate(batch, stop));
  PhaseTimer timer(clock_, encoder_.options().device, report.seconds);
  Enter("optimise");
  try {
    RETURN_IF_ERROR(Update(report));
  } catch (const std::exception& error) {
    const std::string text = error.what();
    return absl::InternalError(absl::StrCat("step ", batch.step, ": ", text.substr(0, text.find('\n'))));
  }
  timer.Mark("optimise");
  return report;
}

}  // namespace muster
