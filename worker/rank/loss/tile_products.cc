#include "worker/rank/loss/tile_products.h"

#include <ATen/ops/mm.h>

namespace muster {

void Scores(const at::Tensor& queries, const at::Tensor& passages, double factor, at::Tensor& out) {
  const at::ScalarType type = out.scalar_type();
  if (out.is_cuda() && queries.scalar_type() != type) {
    // cuBLAS multiplies narrow numbers into float32 sums.
    at::mm_out(out, queries, passages.t(), type);
    out.mul_(factor);
    return;
  }
  out.addmm_(queries.to(type), passages.to(type).t(), /*beta=*/0, /*alpha=*/factor);
}

void AddWeighted(const at::Tensor& weights, const at::Tensor& embeddings, at::Tensor out) {
  out.addmm_(weights, embeddings.to(out.scalar_type()));
}

}  // namespace muster
