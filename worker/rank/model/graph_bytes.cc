#include "worker/rank/model/encoder.h"

namespace muster {

// What the autograd nodes save for their backward, in elements. A row's own: embeddings: the sum before LayerNorm and
// its output (with dropout the dropped output; LayerNorm keeps its input). A layer: q, k, v (3 H), context (H), the two
// sums (2 H) and outputs (2 H) of LayerNorm, the feed-forward's inside before and after gelu (2 I), LayerNorms' mean
// and reciprocal deviation (4), attention's log-sum-exp (one a head; none with dropout, which computes probabilities
// again). A batch's own: the layers' joined query, key and value weights, token ids and positions (int64), and pooling.
uint64_t Encoder::GraphBytes(const EncoderConfig& config, const PackedBatch& batch, bool dropout) {
  const uint64_t hidden = config.hidden_size, inner = config.intermediate_size, layers = config.layers;
  const uint64_t lse = dropout ? 0 : config.heads;
  const uint64_t rows = batch.tokens.numel(), sequences = batch.lengths.size();
  const uint64_t per_row = 2 * hidden + 2 + layers * (8 * hidden + 2 * inner + 4 + lse);
  const uint64_t per_batch = layers * (3 * hidden * hidden + 3 * hidden) + sequences * (2 * hidden + 2);
  return sizeof(float) * (rows * per_row + per_batch) + 2 * sizeof(int64_t) * rows;
}

}  // namespace muster
