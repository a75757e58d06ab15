// Measures a step of BERT-base with random weights. Only reports figures.
#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "common/status.h"
#include "tests/gpu/models.h"
#include "tests/gpu/session.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/train/testing/problem_options.h"

namespace muster {
namespace {

using muster::internal::v1::StepShare;

// Each query names one positive.
struct Workload {
  int64_t queries = 0, passages = 0;
  int64_t micro_tokens = 0;
  // Tokens of a text, spread evenly.
  int64_t query_least = 8, query_most = 24, passage_least = 64, passage_most = 192;
};

// What a step does with its graphs and with dropout.
struct StepKind {
  double dropout = 0;
  AttentionKeys keys = AttentionKeys::kSequence;
  bool keep = true;
};

StepShare ShareOfOneRank(const Workload& work, const EncoderConfig& config, uint64_t step) {
  CounterRandom random(17);
  const int64_t slots = work.queries + work.passages;
  std::vector<std::pair<int64_t, uint32_t>> by_length;  // length, slot
  for (int64_t slot = 0; slot < slots; ++slot) {
    const bool query = slot < work.queries;
    const int64_t least = query ? work.query_least : work.passage_least, most = query ? work.query_most : work.passage_most;
    by_length.emplace_back(least + static_cast<int64_t>(random.Below(most - least + 1)), slot);
  }
  std::sort(by_length.begin(), by_length.end());
  StepShare share;
  share.set_step(step);
  share.set_query_count(work.queries);
  share.set_passage_count(work.passages);
  int64_t used = work.micro_tokens;
  for (const auto& [length, slot] : by_length) {
    if (used + length > work.micro_tokens) share.add_micro_batches(), used = 0;
    used += length;
    auto& micro = *share.mutable_micro_batches(share.micro_batches_size() - 1);
    micro.add_lengths(length);
    micro.add_slots(slot);
    std::vector<uint32_t> ids(length);
    for (uint32_t& id : ids) id = static_cast<uint32_t>(random.Below(config.vocabulary_size));
    micro.mutable_tokens()->append(reinterpret_cast<const char*>(ids.data()), 4 * ids.size());
  }
  share.set_row_end(work.queries);
  share.add_positive_offsets(0);
  share.add_ignored_offsets(0);
  for (int64_t q = 0; q < work.queries; ++q) {
    share.add_positives(q % work.passages);
    share.add_positive_offsets(q + 1);
    share.add_ignored_offsets(0);
    share.add_row_weights(1);
    share.add_query_digests(q);
  }
  share.set_total_weight(static_cast<double>(work.queries));
  return share;
}

// Floating-point operations of forward and backward, only the products: 6 per weight and token, and for attention's two
// products 12 * length * hidden per layer and token (the backward is twice the forward).
double StepFlops(const EncoderConfig& config, const StepBatch& batch) {
  const double hidden = static_cast<double>(config.hidden_size);
  const double weights = config.layers * (4 * hidden * hidden + 2 * hidden * config.intermediate_size);
  double flops = 0;
  for (const PackedBatch& micro : batch.micro_batches) {
    for (const int64_t length : micro.lengths) flops += length * (6 * weights + config.layers * 12.0 * length * hidden);
  }
  return flops;
}

// A product of large square matrices in the encoder's type: the best that the device reaches.
double ProductFlops(const Session& session, bool bfloat16) {
  const int64_t size = session.on_gpu() ? 8192 : 256;
  const auto options = at::TensorOptions().device(session.device()).dtype(bfloat16 ? at::kBFloat16 : at::kFloat);
  const at::Tensor a = at::randn({size, size}, options), b = at::randn({size, size}, options);
  at::Tensor c = at::empty({size, size}, options);
  const double seconds = LeastSeconds(session.device(), 10, [&] { at::mm_out(c, a, b); });
  return 2.0 * size * size * size / seconds;
}

// Reports the fastest of `repeats` steps.
absl::Status MeasureStep(const Session& session, Encoder& encoder, const Workload& work, const StepKind& kind,
                         double product_flops, int repeats, Figures& figures) {
  const EncoderConfig& config = encoder.config();
  const auto group = MakeSingleGroup();
  TrainerOptions options =
      PlainOptions(muster::v1::OBJECTIVE_JOINTLH, /*temperature=*/0.05, /*learning_rate=*/1e-5, kind.dropout);
  options.attention_keys = kind.keys;
  options.keep_activations = kind.keep ? uint64_t{64} << 30 : 0;
  Trainer trainer(encoder, *group, RealClock(), options);
  ASSIGN_OR_RETURN(const StepBatch batch, BatchFromShare(ShareOfOneRank(work, config, 0), config, session.device()));
  absl::Status status;
  StepReport last;
  const auto step = [&] {
    auto report = trainer.Step(batch);
    if (report.ok()) last = *report;
    status = Both(status, report.status());
  };
  const double seconds = LeastSeconds(session.device(), repeats, step);
  RETURN_IF_ERROR(status);
  const double flops = StepFlops(config, batch) / seconds;
  figures["queries"] = work.queries;
  figures["passages"] = work.passages;
  figures["tokens"] = batch.tokens;
  figures["milliseconds"] = 1e3 * seconds;
  figures["queries_per_second"] = work.queries / seconds;
  figures["tokens_per_second"] = batch.tokens / seconds;
  figures["tflops"] = flops / 1e12;  // a replayed forward does not count
  figures["share_of_product_rate"] = flops / product_flops;
  if (session.on_gpu()) figures["peak_mib"] = PeakBytes(session.device(), step) / 1048576.0;
  for (const auto& [phase, spent] : last.seconds) figures["seconds"][PhaseName(phase)] = spent;
  return status;
}

// The batch of docs/design/gpu_step.py: 16,384 tokens in 64 sequences of 256, half of them queries, in one micro-batch.
// tests/gpu/run adds the model's milliseconds to the figures.
void MeasureModel(Session& session, Encoder& encoder, double product_flops) {
  const Workload work = session.on_gpu() ? Workload{32, 32, 16384, 256, 256, 256, 256} : Workload{2, 2, 64, 16, 16, 16, 16};
  for (const AttentionKeys keys : {AttentionKeys::kSequence, AttentionKeys::kLaunch}) {
    session.Test(absl::StrCat("speed.model.", keys == AttentionKeys::kLaunch ? "launch" : "sequence"), [&](Figures& figures) {
      return MeasureStep(session, encoder, work, {.dropout = 0.1, .keys = keys}, product_flops, /*repeats=*/5, figures);
    });
  }
}

}  // namespace

void RunSpeedPart(Session& session) {
  const EncoderConfig config = session.on_gpu() ? BertBase() : SmallEncoder();
  const Workload work = session.on_gpu() ? Workload{512, 1024, 16384} : Workload{4, 6, 512};
  for (const bool bfloat16 : {true, false}) {
    const std::string type = bfloat16 ? "bfloat16" : "float32";
    double product_flops = 0;
    session.Test(absl::StrCat("speed.", type, ".product"), [&](Figures& figures) {
      product_flops = ProductFlops(session, bfloat16);
      figures["tflops"] = product_flops / 1e12;
      return absl::OkStatus();
    });
    const auto encoder = Encoder::Random(config, 1, {at::kFloat, session.device(), bfloat16});
    for (const bool keep : {true, false}) {
      for (const double dropout : {0.0, 0.1}) {
        session.Test(absl::StrCat("speed.", type, keep ? ".kept" : ".replayed", dropout > 0 ? ".dropout" : ""),
                     [&](Figures& figures) {
                       if (!encoder.ok()) return encoder.status();
                       return MeasureStep(session, **encoder, work, {.dropout = dropout, .keep = keep}, product_flops,
                                          bfloat16 ? 2 : 1, figures);
                     });
      }
    }
    if (bfloat16 && encoder.ok()) MeasureModel(session, **encoder, product_flops);
  }
}

}  // namespace muster
