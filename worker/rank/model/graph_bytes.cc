#include "common/model/families/family.h"
#include "worker/rank/model/encoder.h"

namespace muster {
namespace {

// Numbers that the autograd nodes save for their backward, per row.
struct Kept {
  uint64_t activations = 0;  // in the type of products
  uint64_t statistics = 0;   // in the type of parameters
};

// Embeddings: their output, and mean and reciprocal deviation. A layer: q, k, v (3 H), context (H), the inputs of its two
// norms (2 H), the feed-forward's inside before the activation (I), mean and reciprocal deviation of two norms (4), and
// attention's log-sum-exp (one per head).
Kept KeptByPostNorm(const EncoderConfig& config, uint64_t lse) {
  const uint64_t hidden = config.hidden_size, inner = config.intermediate_size, layers = config.layers;
  return {.activations = hidden + layers * (6 * hidden + inner), .statistics = 2 + layers * (4 + lse)};
}

// The same as for post-norm, plus rotated q, k, v, both halves of the gated part (2 I), and the cosines and sines of global
// and local layers.
Kept KeptByModernBert(const EncoderConfig& config, uint64_t lse) {
  const uint64_t hidden = config.hidden_size, inner = config.intermediate_size, layers = config.layers;
  return {.activations = hidden + layers * (6 * hidden + 2 * inner),
          .statistics = 2 + layers * (4 + lse) + 2 * config.HeadSize()};
}

// A layer: the inputs of its norms (2 H) with two numbers per row; queries, keys and values as the product gives them,
// with a number per head; rotated queries and keys, and values; context; and both halves of the gated part (2 I). In
// addition the embeddings, and the cosines and sines.
Kept KeptByQwen3(const EncoderConfig& config, uint64_t lse) {
  const uint64_t hidden = config.hidden_size, inner = config.intermediate_size, layers = config.layers,
                 size = config.HeadSize(), heads = config.heads, shared = config.KeyValueHeads();
  return {.activations = hidden + layers * (2 * hidden + (3 * heads + 4 * shared) * size + 2 * inner),
          .statistics = 2 + layers * (4 + heads + shared + lse) + size};
}

}  // namespace

// The bytes of a batch: token ids and positions (int64), pooling, and what Dense modules keep. Statistics and pooling are
// in the type of parameters, rows in bfloat16 where the encoder computes in it.
uint64_t Encoder::GraphBytes(const EncoderConfig& config, const PackedBatch& batch, bool bfloat16) {
  const uint64_t lse = config.heads, hidden = config.hidden_size;
  const Family& family = FamilyOf(config);
  const Kept kept = family.post_norm != nullptr     ? KeptByPostNorm(config, lse)
                    : &family == &kModernBertFamily ? KeptByModernBert(config, lse)
                                                    : KeptByQwen3(config, lse);
  const uint64_t rows = batch.tokens.numel(), sequences = batch.lengths.size();
  uint64_t pooled = sequences * (2 * hidden + 2);
  for (const DenseModule& module : config.dense) pooled += sequences * 2 * module.out;
  if (config.pooling == PoolingMode::kMax) pooled += sequences * hidden;  // the row of each largest number, int32
  const uint64_t distances =
      config.relative_buckets > 0 ? 2 * batch.lengths.back() * (sizeof(float) * config.heads + sizeof(int64_t)) : 0;
  return rows * (kept.activations * (bfloat16 ? 2 : sizeof(float)) + kept.statistics * sizeof(float)) +
         sizeof(float) * pooled + distances + 2 * sizeof(int64_t) * rows;
}

}  // namespace muster
