// Matryoshka Representation Learning (arXiv 2205.13147): trains the first numbers of embeddings in addition to whole
// embeddings.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "muster/v1/job.pb.h"
#include "worker/rank/loss/streaming_loss.h"

namespace muster {

struct EmbeddingCut {
  int64_t size = 0;   // how many numbers from the start of an embedding
  double weight = 1;  // of the loss of these embeddings
};
std::vector<EmbeddingCut> CutsOf(const muster::v1::LossSpec& loss);  // empty: only whole embeddings

// The sum over `cuts` of weight times the loss of the embeddings cut to `size`, and its gradients with respect to the
// whole embeddings. `normalize`: the model's embeddings have length 1, and a cut is divided by its own length again.
// One cut must be the whole embedding (TORCH_CHECK): counts, similarities, entropy, weights and non-finite values are reported
// for that cut. Without cuts this is EvaluateLoss.
//
// Each cut is linear in the rows that a rank holds, so the sum over ranks is exact, as for EvaluateLoss. Memory in addition to
// that of EvaluateLoss: gradients of one cut, and with `normalize` its embeddings.
LossResult EvaluateLossOfCuts(LossInput input, std::span<const EmbeddingCut> cuts, bool normalize);

}  // namespace muster
