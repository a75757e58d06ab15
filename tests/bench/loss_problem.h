// A batch for the loss, of any size, and its loss by way of the whole score matrix.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/rank/loss/streaming_loss.h"

namespace muster {

struct LossProblemSize {
  int64_t rows = 16384, columns = 16384, dim = 384;
  int64_t positives = 4, ignored = 4;  // columns a row
};

// Embeddings of length 1 with positives somewhat nearer than chance, which `seed` decides. Makes no copies on the way.
LossInput MakeLossProblem(const LossProblemSize& size, muster::v1::Objective objective, uint64_t seed);

struct WholeMatrixLoss {
  double loss = 0;
  at::Tensor d_queries, d_passages;
};
// What a trainer writes without a kernel of its own: one matrix of all scores, logsumexp, and autograd backwards.
WholeMatrixLoss EvaluateWholeMatrix(const LossInput& input);

}  // namespace muster
