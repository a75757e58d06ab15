#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softplus.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <vector>

#include "tests/bench/loss_problem.h"

namespace muster {
namespace {

// Flat positions of the edges in the score matrix.
at::Tensor FlatOf(const RowEdges& edges, int64_t columns) {
  std::vector<int64_t> flat;
  flat.reserve(edges.columns.size());
  for (int64_t row = 0; row < edges.rows(); ++row) {
    for (int64_t e = edges.begin(row); e < edges.end(row); ++e) flat.push_back(row * columns + edges.columns[e]);
  }
  return at::from_blob(flat.data(), {static_cast<int64_t>(flat.size())}, at::TensorOptions().dtype(at::kLong)).clone();
}

// The loss of every row, from its positives' scores [rows, m] and the logsumexp over its negatives [rows].
at::Tensor RowLosses(muster::v1::Objective objective, const at::Tensor& positives, const at::Tensor& negative_lse) {
  using namespace muster::v1;  // NOLINT: the enumeration's values
  const at::Tensor mean = positives.mean(1);
  switch (objective) {
    case OBJECTIVE_RAND1LH:
    case OBJECTIVE_MEAN1LH:  // without grades
      return at::softplus(negative_lse.unsqueeze(1) - positives).mean(1);
    case OBJECTIVE_SUMMARGLH:
      return at::softplus(negative_lse - at::logsumexp(positives, 1));
    case OBJECTIVE_LSEPAIR:
      return at::softplus(negative_lse + at::logsumexp(-positives, 1));
    case OBJECTIVE_JOINTLH_SUM:
      return (at::logaddexp(negative_lse, at::logsumexp(positives, 1)) - mean) * positives.size(1);
    case OBJECTIVE_UNSPECIFIED:
    case OBJECTIVE_JOINTLH:
    case Objective_INT_MIN_SENTINEL_DO_NOT_USE_:
    case Objective_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return at::logaddexp(negative_lse, at::logsumexp(positives, 1)) - mean;
}

}  // namespace

WholeMatrixLoss EvaluateWholeMatrix(const LossInput& input) {
  const at::Tensor queries = input.queries.detach().requires_grad_(), passages = input.passages.detach().requires_grad_();
  const int64_t rows = queries.size(0), columns = passages.size(0);
  at::Tensor scores = at::matmul(queries / input.temperature, passages.t());
  const at::Tensor positive_at = FlatOf(input.positives, columns);
  const at::Tensor positives = scores.view(-1).index_select(0, positive_at).view({rows, -1});
  // In place: the scores of positives have been read, and no other copy of the matrix is needed.
  constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
  scores.view(-1).index_fill_(0, positive_at, kMinusInfinity);
  if (!input.ignored.columns.empty()) {
    scores.view(-1).index_fill_(0, FlatOf(input.ignored, columns), kMinusInfinity);
  }
  const at::Tensor loss = RowLosses(input.objective, positives, at::logsumexp(scores, 1)).mean();
  scores.reset();
  const auto gradients = torch::autograd::grad({loss}, {queries, passages});
  return {.loss = loss.item<double>(), .d_queries = gradients[0], .d_passages = gradients[1]};
}

}  // namespace muster
