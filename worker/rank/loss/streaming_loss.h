// The multi-positive loss of a range of rows against all columns of the global batch, without the score matrix.
//
// Forward: tile by tile a running (max, sum) a row gives A, the logsumexp over its negatives; the m positive scores
// give the rest (loss/row.h). Backward recomputes each tile: d score = weight * push / (R * temperature) *
// exp(s - A) for negatives, a sparse correction for positives. Memory is O(rows + columns) * d + one tile.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster {

// Which columns each row names: those of row r are columns[offsets[r]] .. columns[offsets[r + 1] - 1].
struct RowEdges {
  std::vector<int64_t> offsets = {0};  // rows + 1
  std::vector<int64_t> columns;
  int64_t rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t begin(int64_t row) const { return offsets[row]; }
  int64_t end(int64_t row) const { return offsets[row + 1]; }
};

// All of one device. A column is positive, ignored, or else negative; positives and ignored of a row are disjoint.
struct LossInput {
  at::Tensor queries;   // [rows, d]: own rows
  at::Tensor passages;  // [columns, d]: all columns of the global batch
  RowEdges positives, ignored;           // of own rows
  std::vector<double> positive_weights;  // beside positives.columns, > 0; empty: all equal
  std::vector<double> row_weights;       // one a row, >= 0; empty: all 1
  double total_weight = 0;               // R: sum of the weights of valid rows of the whole global batch
  muster::v1::Objective objective = muster::v1::OBJECTIVE_JOINTLH;
  double temperature = 0.05;
  int64_t tile_rows = 1024;
  int64_t tile_columns = 4096;
};

struct LossResult {
  double loss_sum = 0;     // own rows' share of the loss: sum of weight * loss, divided by R
  at::Tensor d_queries;    // [rows, d], float32 (float64 where the embeddings are): of the loss, R included
  at::Tensor d_passages;   // [columns, d], own rows' part
  int64_t valid_rows = 0;  // rows with a positive
  int64_t first_non_finite_row = -1;  // a score of this row is not finite: the gradients are undefined tensors then

  // Of valid rows, over all their pairs: similarities before temperature.
  int64_t positive_pairs = 0, negative_pairs = 0, ignored_pairs = 0;
  double positive_sum = 0, negative_sum = 0;
  double entropy_sum = 0;  // sum over valid rows of the entropy of |d s_p| over positives, in nats
};

LossResult EvaluateLoss(const LossInput& input);

}  // namespace muster
