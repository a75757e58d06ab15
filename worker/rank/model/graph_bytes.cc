#include "common/model/families/family.h"
#include "worker/rank/model/encoder.h"

namespace muster {
namespace {

// Numbers that the autograd nodes save for their backward.
struct Kept {
  uint64_t activations = 0;  // of a row, in the type of products
  uint64_t statistics = 0;   // of a row, in the type of parameters
  uint64_t weights = 0;      // of a batch, where weights are joined: none in bfloat16, whose copies all graphs share
};

// Embeddings: the sum before LayerNorm and its output (with dropout the dropped output; LayerNorm keeps its input). A
// layer: q, k, v (3 H), context (H), the two sums (2 H) and outputs (2 H) of LayerNorm, the feed-forward's inside before
// and after the activation (2 I), LayerNorms' mean and reciprocal deviation (4), attention's log-sum-exp (one per
// head), and the joined weights of queries, keys and values.
Kept KeptByPostNorm(const EncoderConfig& config, uint64_t lse) {
  const uint64_t hidden = config.hidden_size, inner = config.intermediate_size, layers = config.layers;
  return {.activations = hidden + layers * (8 * hidden + 2 * inner),
          .statistics = hidden + 2 + layers * (4 + lse),
          .weights = layers * (3 * hidden * hidden + 3 * hidden)};
}

// Embeddings: rows before LayerNorm. A layer: the inputs (2 H) and outputs (2 H) of its norms, turned q, k, v (3 H),
// context (H), and of the gated part both halves, the activation's output and the product (4 I). Cosines and sines of
// global and local layers.
Kept KeptByModernBert(const EncoderConfig& config, uint64_t lse) {
  const uint64_t hidden = config.hidden_size, inner = config.intermediate_size, layers = config.layers;
  return {.activations = 2 * hidden + layers * (8 * hidden + 4 * inner),
          .statistics = hidden + 4 + layers * (4 + lse) + 2 * config.HeadSize()};
}

// A layer: the inputs (2 H) and outputs (2 H) of its norms with a number per row, queries and keys before their norms
// with a number per head, turned queries and keys and values, context, and both halves of the gated part, the
// activation's output and the product (4 I). Cosines and sines.
Kept KeptByQwen3(const EncoderConfig& config, uint64_t lse) {
  const uint64_t hidden = config.hidden_size, inner = config.intermediate_size, layers = config.layers,
                 size = config.HeadSize(), heads = config.heads, shared = config.KeyValueHeads();
  return {.activations = 2 * hidden + layers * (4 * hidden + (3 * heads + 3 * shared) * size + 4 * inner),
          .statistics = 1 + layers * (2 + heads + shared + lse) + size};
}

}  // namespace

// Of a batch: token ids and positions (int64), pooling, and what Dense modules keep. Embeddings up to their norm, and
// pooling, are in the type of parameters; products are in bfloat16 where the encoder computes in it.
uint64_t Encoder::GraphBytes(const EncoderConfig& config, const PackedBatch& batch, bool /*dropout*/, bool bfloat16) {
  const uint64_t lse = config.heads, hidden = config.hidden_size;
  const Family& family = FamilyOf(config);
  const Kept kept = family.post_norm != nullptr     ? KeptByPostNorm(config, lse)
                    : &family == &kModernBertFamily ? KeptByModernBert(config, lse)
                                                    : KeptByQwen3(config, lse);
  // Between the two products of an adapter. All products are counted, whichever are adapted.
  const uint64_t products = family.post_norm != nullptr ? 6 : &family == &kModernBertFamily ? 4 : 7;
  const uint64_t adapters = static_cast<uint64_t>(config.layers) * products * config.lora.rank;
  const uint64_t rows = batch.tokens.numel(), sequences = batch.lengths.size();
  uint64_t pooled = sequences * (2 * hidden + 2), row_statistics = kept.statistics;
  for (const DenseModule& module : config.dense) pooled += sequences * 2 * module.out;
  const bool plain = (config.pooling == PoolingMode::kMean && batch.unpooled.empty()) ||
                     config.pooling == PoolingMode::kCls || config.pooling == PoolingMode::kLast;
  if (!plain) {
    row_statistics += 2 + (bfloat16 || config.pooling == PoolingMode::kMax ? hidden : 0);
    pooled += sequences * 3 * hidden;  // the places of the largest, int64
  }
  const uint64_t distances =
      config.relative_buckets > 0 ? 2 * batch.lengths.back() * (sizeof(float) * config.heads + sizeof(int64_t)) : 0;
  return rows * ((kept.activations + adapters) * (bfloat16 ? 2 : sizeof(float)) + row_statistics * sizeof(float)) +
         sizeof(float) * ((bfloat16 ? 0 : kept.weights) + pooled) + distances + 2 * sizeof(int64_t) * rows;
}

}  // namespace muster
