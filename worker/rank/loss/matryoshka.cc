#include "worker/rank/loss/matryoshka.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace muster {
namespace {

constexpr double kLeastLength = 1e-12;  // as torch.nn.functional.normalize and the encoder

// Rows cut to their first numbers, and how a gradient of the cut becomes one of the whole row.
class CutRows {
 public:
  // `type`: the type of the gradients.
  CutRows(const at::Tensor& embeddings, int64_t size, bool normalize, at::ScalarType type)
      : size_(size), rows_(embeddings.narrow(1, 0, size)) {
    if (!normalize) return;
    const at::Tensor cut = rows_.to(type);
    lengths_ = cut.norm(2, {1}, /*keepdim=*/true).clamp_min(kLeastLength);
    rows_ = cut / lengths_;
  }

  const at::Tensor& rows() const { return rows_; }

  // With y = x / |x|: dx = (dy - y (y . dy)) / |x|. Below the least length y is linear in x.
  void AddGradient(at::Tensor gradient, at::Tensor& d_embeddings) const {
    if (lengths_.defined()) {
      const at::Tensor along = (gradient * rows_).sum(1, /*keepdim=*/true);
      gradient.sub_(rows_ * at::where(lengths_ > kLeastLength, along, at::zeros_like(along))).div_(lengths_);
    }
    d_embeddings.narrow(1, 0, size_).add_(gradient);
  }

 private:
  const int64_t size_;
  at::Tensor rows_, lengths_;  // lengths: [rows, 1]; undefined: the cut is not normalized
};

}  // namespace

std::vector<EmbeddingCut> CutsOf(const muster::v1::LossSpec& loss) {
  std::vector<EmbeddingCut> cuts;
  for (int i = 0; i < loss.matryoshka_dimensions_size(); ++i) {
    const bool weighted = i < loss.matryoshka_weights_size();
    cuts.push_back({loss.matryoshka_dimensions(i), weighted ? loss.matryoshka_weights(i) : 1.0});
  }
  return cuts;
}

LossResult EvaluateLossOfCuts(LossInput input, std::span<const EmbeddingCut> cuts, bool normalize) {
  if (cuts.empty()) return EvaluateLoss(input);
  at::NoGradGuard no_gradient;
  const at::Tensor queries = input.queries, passages = input.passages;
  const auto whole = std::ranges::find(cuts, passages.size(1), &EmbeddingCut::size);
  TORCH_CHECK(whole != cuts.end(), "no cut is the whole embedding of ", passages.size(1), " numbers");
  input.factor = whole->weight;
  LossResult result = EvaluateLoss(input);
  if (!result.d_queries.defined()) return result;
  for (const EmbeddingCut& cut : cuts) {
    if (cut.size == whole->size) continue;
    const at::ScalarType type = result.d_queries.scalar_type();
    const CutRows cut_queries(queries, cut.size, normalize, type), cut_passages(passages, cut.size, normalize, type);
    input.queries = cut_queries.rows();
    input.passages = cut_passages.rows();
    input.factor = cut.weight;
    LossResult part = EvaluateLoss(input);
    if (!part.d_queries.defined()) return part;
    result.loss_sum += part.loss_sum;
    cut_queries.AddGradient(std::move(part.d_queries), result.d_queries);
    cut_passages.AddGradient(std::move(part.d_passages), result.d_passages);
  }
  return result;
}

}  // namespace muster
