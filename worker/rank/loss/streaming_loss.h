// The multi-positive loss of a range of rows against all columns of the global batch, without the score matrix.
//
// Works on blocks of rows. The forward pass keeps a running (max, sum) per row over the tiles, which gives A, the logsumexp
// over the row's negatives; the m positive scores give the rest (loss/row.h). The backward pass turns each tile into
// weight * push / (R * temperature) * exp(s - A) at negatives and the sparse gradients at positives, and multiplies it
// into both gradients. Distillation is a separate, sparse pass (distillation.h). Tiles that fit `kept_bytes` stay from forward
// to backward, and the others are computed again. Besides inputs and outputs the memory is kept_bytes, whatever the batch. For
// one machine, number of threads and choice of tiles the result is bitwise the same.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "muster/v1/job.pb.h"
#include "worker/rank/loss/positive_weights.h"
#include "worker/rank/loss/row_edges.h"
#include "worker/rank/loss/tile_ops.h"

namespace muster {

// A teacher's scores for this rank's rows: see distillation.h.
struct TeacherLists {
  RowEdges lists;              // columns of this rank's rows, each once
  std::vector<double> scores;  // one per element of lists.columns, finite
  muster::v1::DistillKind kind = muster::v1::DISTILL_KIND_KL;
  double weight = 1, temperature = 1;
};

// All tensors are on one device. A column is positive, ignored, or else negative; positives and ignored of a row are disjoint.
struct LossInput {
  at::Tensor queries;   // [rows, d]: this rank's rows
  at::Tensor passages;  // [columns, d]: all columns of the global batch
  RowEdges positives, ignored;           // of this rank's rows
  std::vector<double> positive_weights;  // one per element of positives.columns, > 0; empty: all equal
  std::vector<uint8_t> noise;            // one per element of positives.columns: whether data.noise put it there; empty: no
  std::vector<double> row_weights;       // one per row, >= 0; empty: all 1
  double total_weight = 0;               // R: sum of the weights of valid rows of the whole global batch
  muster::v1::Objective objective = muster::v1::OBJECTIVE_JOINTLH;
  double temperature = 0.05;
  // A negative whose similarity exceeds that of the row's lowest positive by more than this is ignored; absent: none is.
  // Similarities are computed from these `queries` and `passages`, in the precision of the tiles.
  std::optional<double> false_negative_margin;
  std::optional<TeacherLists> teacher;  // adds the distillation loss
  bool without_objective = false;       // only the distillation loss; counts and similarities do not change
  double factor = 1;  // the loss and its gradients are multiplied by it
  // Override members of TilePlan. 0, or -1 for kept_bytes: the plan of the device's TileOps.
  int64_t tile_rows = 0, tile_columns = 0, kept_bytes = -1;
  const TileOps* ops = nullptr;  // null: the device's
};

struct LossResult {
  double loss_sum = 0;     // this rank's share of the loss: sum of weight * loss over its rows, divided by R
  at::Tensor d_queries;    // [rows, d], float32 (float64 where the embeddings are): of loss_sum
  at::Tensor d_passages;   // [columns, d], the part from this rank's rows
  int64_t valid_rows = 0;  // rows with a positive
  // If one of the next two is set, the loss could not be computed because of it, and the gradients are undefined tensors.
  int64_t first_non_finite_passage = -1;  // a column whose embedding is not finite
  // A row whose embedding is not finite, or whose scores may overflow: its length times the longest passage's, after
  // temperature, is beyond 1e38 (1e300 in float64).
  int64_t first_non_finite_row = -1;

  // Similarities before temperature, over all pairs of valid rows. Ignored pairs include false negatives.
  int64_t positive_pairs = 0, negative_pairs = 0, ignored_pairs = 0;
  double positive_sum = 0, negative_sum = 0;
  double entropy_sum = 0;  // sum over valid rows of the entropy of the objective's |d s_p| over positives, in nats
  PositiveWeights weights;
};

LossResult EvaluateLoss(const LossInput& input);

}  // namespace muster
