// The two products of a tile: the scores, and a gradient from weighted scores. Embeddings may be of a narrower type
// than `out`, which is float32 or float64: sums are of out's type.
#pragma once

#include <ATen/core/Tensor.h>

namespace muster {

// out <- factor * queries passages^T. out: [h, w], queries: [h, d], passages: [w, d].
void Scores(const at::Tensor& queries, const at::Tensor& passages, double factor, at::Tensor& out);

// out += weights embeddings. weights: [h, w] of out's type (a transposed view will do), embeddings: [w, d], out: [h, d].
void AddWeighted(const at::Tensor& weights, const at::Tensor& embeddings, at::Tensor out);

}  // namespace muster
