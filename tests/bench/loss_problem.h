// A batch of any size for the loss, and its loss computed with the whole score matrix.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/rank/loss/streaming_loss.h"

namespace muster {

struct LossProblemSize {
  int64_t rows = 16384, columns = 16384, dim = 384;
  int64_t positives = 4, ignored = 4;  // columns per row
};

// Embeddings of length 1, with positives somewhat closer than chance, drawn from `seed`. Makes no temporary copies.
LossInput MakeLossProblem(const LossProblemSize& size, muster::v1::Objective objective, uint64_t seed);

struct WholeMatrixLoss {
  double loss = 0;
  at::Tensor d_queries, d_passages;
};
// The loss as a trainer without a special kernel computes it: one matrix of all scores, logsumexp, and autograd.
WholeMatrixLoss EvaluateWholeMatrix(const LossInput& input);

}  // namespace muster
