#include "tests/bench/loss_problem.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>

#include "common/random.h"

namespace muster {
namespace {

at::Tensor UnitRows(int64_t rows, int64_t dim, at::Generator& generator) {
  at::Tensor matrix = at::empty({rows, dim}).normal_(0, 1, generator);
  return matrix.div_(at::linalg_vector_norm(matrix, 2, at::IntArrayRef{1}, /*keepdim=*/true));
}

}  // namespace

LossInput MakeLossProblem(const LossProblemSize& size, muster::v1::Objective objective, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  CounterRandom random(seed);
  LossInput input{.objective = objective};
  input.queries = UnitRows(size.rows, size.dim, generator);
  input.passages = UnitRows(size.columns, size.dim, generator);
  input.total_weight = static_cast<double>(size.rows);
  std::vector<int64_t> chosen;
  for (int64_t row = 0; row < size.rows; ++row) {
    chosen.clear();
    while (static_cast<int64_t>(chosen.size()) < size.positives + size.ignored) {
      const auto column = static_cast<int64_t>(random.Below(size.columns));
      if (std::ranges::find(chosen, column) == chosen.end()) chosen.push_back(column);
    }
    for (int64_t i = 0; i < size.positives + size.ignored; ++i) {
      (i < size.positives ? input.positives : input.ignored).columns.push_back(chosen[i]);
      if (i < size.positives) input.passages[chosen[i]].add_(input.queries[row], 0.3);
    }
    for (RowEdges* edges : {&input.positives, &input.ignored}) {
      edges->offsets.push_back(static_cast<int64_t>(edges->columns.size()));
    }
  }
  input.passages.div_(at::linalg_vector_norm(input.passages, 2, at::IntArrayRef{1}, /*keepdim=*/true));
  return input;
}

}  // namespace muster
