// The objectives by their definitions, in float64 over the whole score matrix, as a reference for tests of the kernel.
// Shares no code with it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "muster/v1/job.pb.h"
#include "worker/rank/loss/matryoshka.h"
#include "worker/rank/loss/streaming_loss.h"

namespace muster {

using Matrix = std::vector<std::vector<double>>;

// A teacher's scores of some columns of each row.
struct DenseTeacher {
  muster::v1::DistillKind kind = muster::v1::DISTILL_KIND_KL;
  double weight = 1, temperature = 1;
  bool only = false;  // without the objective
  std::vector<std::vector<int64_t>> lists;
  Matrix scores;  // one per column of a list
};

struct DenseBatch {
  muster::v1::Objective objective = muster::v1::OBJECTIVE_JOINTLH;
  double temperature = 0.5;
  Matrix queries, passages;
  std::vector<std::vector<int64_t>> positives, ignored;
  Matrix grades;                // one per positive; empty: none
  std::vector<double> weights;  // empty: all 1
  std::optional<double> margin;  // of false negatives
  std::optional<DenseTeacher> teacher;
};

struct DenseResult {
  double loss = 0;
  int64_t valid_rows = 0;
  Matrix d_queries, d_passages;
  // For each number of the gradients: the sum of |d loss / d score| |number of an embedding| / temperature, so that no term
  // cancels another. Rounding is relative to it.
  Matrix query_scales, passage_scales;
  int64_t false_negatives = 0;
};
DenseResult EvaluateDense(const DenseBatch& batch);
// The weighted sum over `cuts` of EvaluateDense on the first numbers of each embedding, divided by their length where
// `normalize` says so; gradients through the whole Jacobian of that division.
DenseResult EvaluateDenseCuts(const DenseBatch& batch, std::span<const EmbeddingCut> cuts, bool normalize);

// Ragged: rows without positives, rows without negatives, grades, and weights (also 0) all occur.
DenseBatch RandomBatch(uint64_t seed, muster::v1::Objective objective);

// Lists of any columns, some empty and some of one column.
DenseTeacher RandomTeacher(uint64_t seed, const DenseBatch& batch, muster::v1::DistillKind kind);

// The whole batch as the kernel's input; embeddings of `type`.
LossInput InputFrom(const DenseBatch& batch, at::ScalarType type);
at::Tensor TensorFrom(const Matrix& matrix);  // float64
Matrix MatrixFrom(const at::Tensor& tensor);  // [rows, columns] of any type

// max|x - y| / max|y| (max|x| where y is all zero) over loss and both gradients.
double LargestDifference(const LossResult& result, const DenseResult& expected);
double LargestDifference(const at::Tensor& x, const at::Tensor& y);

}  // namespace muster
