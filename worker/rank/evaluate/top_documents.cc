#include "worker/rank/evaluate/top_documents.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace muster {
namespace {

// The best k of each row, in order. Equal scores are ordered from left to right.
TopDocuments TakeLeftmost(const at::Tensor& scores, const at::Tensor& numbers, int64_t k) {
  const int64_t width = scores.size(1);
  const auto stable = [](const at::Tensor& values) {
    return at::sort(values, /*stable=*/std::optional<bool>(true), /*dim=*/1, /*descending=*/true);
  };
  if (width > k) {
    // topk is faster than a sort, but does not say which of equal scores it takes. A row needs the sort only if a score
    // equal to the last one taken was left out.
    const auto [values, indices] = at::topk(scores, k, 1);
    const at::Tensor equal_or_better = (scores >= values.narrow(1, k - 1, 1)).sum(1);
    if ((equal_or_better == k).all().item<bool>()) {
      const at::Tensor left_to_right = std::get<0>(at::sort(indices, 1));
      const auto [sorted, order] = stable(scores.gather(1, left_to_right));
      return {sorted, numbers.gather(1, left_to_right.gather(1, order))};
    }
  }
  const auto [sorted, order] = stable(scores);
  const int64_t taken = std::min(k, width);
  return {sorted.narrow(1, 0, taken).contiguous(), numbers.gather(1, order.narrow(1, 0, taken))};
}

}  // namespace

TopDocuments MergeTopDocuments(const TopDocuments& a, const TopDocuments& b, int64_t k) {
  // Put in ascending order of number first, so that further left means a smaller number.
  const auto [numbers, order] = at::sort(at::cat({a.numbers, b.numbers}, 1), 1);
  return TakeLeftmost(at::cat({a.scores, b.scores}, 1).gather(1, order), numbers, k);
}

TopDocuments FindTopDocuments(const at::Tensor& queries, const at::Tensor& documents, const at::Tensor& numbers,
                              int64_t k, int64_t tile) {
  at::NoGradGuard no_gradient;
  const int64_t rows = queries.size(0), count = documents.size(0);
  TopDocuments best{at::full({rows, k}, -std::numeric_limits<double>::infinity(), queries.options()),
                    at::full({rows, k}, -1, numbers.options())};
  for (int64_t first = 0; first < count; first += tile) {
    const int64_t width = std::min(tile, count - first);
    const at::Tensor scores = at::matmul(queries, documents.narrow(0, first, width).t());
    const TopDocuments own = TakeLeftmost(scores, numbers.narrow(0, first, width).unsqueeze(0).expand({rows, width}), k);
    best = MergeTopDocuments(best, own, k);
  }
  return best;
}

}  // namespace muster
