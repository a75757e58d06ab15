#include "worker/rank/model/encoder.h"

namespace muster {

// What the autograd nodes save for their backward. A row's own, in elements: embeddings: the sum before LayerNorm and
// its output (with dropout the dropped output; LayerNorm keeps its input). A layer: q, k, v (3 H), context (H), the two
// sums (2 H) and outputs (2 H) of LayerNorm, the feed-forward's inside before and after gelu (2 I), LayerNorms' mean
// and reciprocal deviation (4), attention's log-sum-exp (one a head; none with dropout, which computes probabilities
// again). A batch's own: the layers' joined query, key and value weights, token ids and positions (int64), and pooling.
//
// bfloat16 halves the layers' part, but not its float32 statistics; embeddings up to their LayerNorm and pooling stay
// float32. The weights' copies are the encoder's, shared by all graphs.
uint64_t Encoder::GraphBytes(const EncoderConfig& config, const PackedBatch& batch, bool dropout, bool bfloat16) {
  const uint64_t hidden = config.hidden_size, inner = config.intermediate_size, layers = config.layers;
  const uint64_t lse = dropout ? 0 : config.heads;
  const uint64_t rows = batch.tokens.numel(), sequences = batch.lengths.size();
  const uint64_t activations = hidden + layers * (8 * hidden + 2 * inner);  // of a row, in the type of products
  const uint64_t statistics = hidden + 2 + layers * (4 + lse);              // of a row, float32
  const uint64_t weights = bfloat16 ? 0 : layers * (3 * hidden * hidden + 3 * hidden);
  const uint64_t pooled = sequences * (2 * hidden + 2);
  return rows * (activations * (bfloat16 ? 2 : sizeof(float)) + statistics * sizeof(float)) +
         sizeof(float) * (weights + pooled) + 2 * sizeof(int64_t) * rows;
}

}  // namespace muster
