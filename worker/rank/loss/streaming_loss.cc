#include "worker/rank/loss/streaming_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "worker/rank/loss/distillation.h"
#include "worker/rank/loss/row.h"
#include "worker/rank/loss/tile_products.h"

namespace muster {
namespace {

double EntropyOf(std::span<const double> gradient) {
  double total = 0, entropy = 0;
  for (const double d : gradient) total += std::abs(d);
  if (total <= 0) return 0;
  for (const double d : gradient) {
    const double share = std::abs(d) / total;
    if (share > 0) entropy -= share * std::log(share);
  }
  return entropy;
}

const TileOps& OpsOf(const LossInput& input) {
  return input.ops != nullptr ? *input.ops : TileOpsOf(input.queries.device().type());
}

TilePlan PlanOf(const LossInput& input, const TileOps& ops) {
  TilePlan plan = ops.Plan();
  if (input.tile_rows > 0) plan.rows = input.tile_rows;
  if (input.tile_columns > 0) plan.columns = input.tile_columns;
  if (input.kept_bytes >= 0) plan.kept_bytes = input.kept_bytes;
  plan.rows = std::min(plan.rows, std::max<int64_t>(1, input.queries.size(0)));
  plan.columns = std::min(plan.columns, std::max<int64_t>(1, input.passages.size(0)));
  return plan;
}

// The first row with an element that is not finite, or -1: squares of float64 overflow before their roots do.
int64_t FirstNonFinite(const at::Tensor& rows) {
  const at::Tensor bad = at::isfinite(rows).all(1).logical_not();
  return bad.any().item<bool>() ? bad.to(at::kInt).argmax().item<int64_t>() : -1;
}

// The device's results for a range of rows, as contiguous float64 numbers.
struct RowNumbers {
  // `ignores`: the last numbers are those of the false negatives.
  RowNumbers(std::vector<double> all, int64_t rows, int64_t positive_count, bool ignores)
      : numbers(std::move(all)), height(rows), positives(positive_count), has_ignored(ignores) {}
  const std::vector<double> numbers;
  const int64_t height, positives;
  const bool has_ignored;
  double longest_passage() const { return std::sqrt(numbers[0]); }
  double length(int64_t row) const { return std::sqrt(numbers[1 + row]); }
  double similarity_sum(int64_t row) const { return numbers[1 + height + row]; }  // over all columns
  double top(int64_t row) const { return numbers[1 + 2 * height + row]; }
  double sum(int64_t row) const { return numbers[1 + 3 * height + row]; }
  const double* positive_similarities() const { return numbers.data() + 1 + 4 * height; }
  const double* ignored_similarities() const { return positive_similarities() + positives; }
  // How many false negatives there are, and the sum of their scores.
  double false_negatives(int64_t row) const { return has_ignored ? numbers[numbers.size() - 2 * height + row] : 0; }
  double false_negative_sum(int64_t row) const { return has_ignored ? numbers[numbers.size() - height + row] : 0; }
};

// Inputs of the backward pass for a range of rows: negatives weigh scale * exp(s - base).
struct RowScales {
  std::vector<double> base, scale, d_positives;
};

class Streamer {
 public:
  explicit Streamer(const LossInput& input)
      : in_(input),
        ops_(OpsOf(input)),
        plan_(PlanOf(input, ops_)),
        type_(input.queries.scalar_type() == at::kDouble ? at::kDouble : at::kFloat),
        rows_(input.queries.size(0)),
        columns_(input.passages.size(0)),
        queries_(OperandOf(input.queries)),
        passages_(OperandOf(input.passages)) {}

  LossResult Run() {
    result_.d_queries = at::zeros(in_.queries.sizes(), Options(type_));
    result_.d_passages = at::zeros(in_.passages.sizes(), Options(type_));
    if (rows_ == 0) return std::move(result_);
    passage_sum_ = at::empty({in_.passages.size(1)}, Options(at::kDouble));
    longest_square_ = at::empty({1}, Options(at::kDouble));
    ops_.SumRows(in_.passages, passage_sum_, longest_square_);
    const int64_t at_once = plan_.all_blocks_at_once ? rows_ : plan_.rows;
    for (int64_t first = 0; first < rows_; first += at_once) {
      Visit(first, std::min(at_once, rows_ - first));
      if (result_.first_non_finite_passage >= 0 || result_.first_non_finite_row >= 0) {
        return {.first_non_finite_passage = result_.first_non_finite_passage,
                .first_non_finite_row = result_.first_non_finite_row};
      }
    }
    return std::move(result_);
  }

 private:
  at::TensorOptions Options(at::ScalarType type) const { return in_.queries.options().dtype(type); }

  Operand OperandOf(const at::Tensor& matrix) const {
    const bool split = plan_.split_bfloat16 && type_ == at::kFloat;
    return split ? Operand::Split(matrix) : Operand::Whole(matrix);
  }

  // Loss and gradients of rows [first, first + height).
  void Visit(int64_t first, int64_t height) {
    const Tiling tiling{height, columns_, plan_.rows, plan_.columns};
    const TileEdges edges(in_.positives, in_.ignored, first, tiling);
    const at::Tensor indices = ops_.ToDevice(edges.indices(), in_.queries.device());
    const RowNumbers numbers(ops_.ToHost(Forward(first, tiling, edges, indices)), height, edges.positive_count(),
                             in_.false_negative_margin.has_value() && !in_.without_objective);
    if (!Finite(first, numbers)) return;
    const RowScales scales = EvaluateRows(first, numbers);
    if (in_.without_objective) return;
    std::vector<double> all = scales.base;
    all.insert(all.end(), scales.scale.begin(), scales.scale.end());
    const std::vector<double> d_positives = edges.InTileOrder(scales.d_positives);
    all.insert(all.end(), d_positives.begin(), d_positives.end());
    Backward(first, tiling, edges, indices, ops_.ToDevice(all, type_, in_.queries.device()));
  }

  // Inputs of RowNumbers.
  at::Tensor Forward(int64_t first, const Tiling& tiling, const TileEdges& edges, const at::Tensor& indices) {
    const at::Tensor queries = in_.queries.narrow(0, first, tiling.height);
    at::Tensor squares = at::empty({tiling.height}, Options(at::kDouble)), along = at::empty_like(squares);
    ops_.MeasureRows(queries, passage_sum_, squares, along);
    const at::Tensor pair_rows = edges.PairRows(indices);
    at::Tensor dots = at::empty({pair_rows.numel()}, Options(at::kDouble));
    ops_.PairDots(queries, in_.passages, pair_rows, edges.PairColumns(indices), dots);
    at::Tensor top = at::full({tiling.height}, kMinusInfinity, Options(type_));
    at::Tensor sum = at::zeros({tiling.height}, Options(type_));
    if (in_.without_objective) {
      return at::cat({longest_square_, squares, along, top.to(at::kDouble), sum.to(at::kDouble), dots});
    }
    limits_ = LimitsOf(tiling.height, pair_rows.narrow(0, 0, edges.positive_count()), dots);
    at::Tensor ignored, ignored_sum;
    if (limits_.defined()) ignored = at::zeros({tiling.height}, Options(at::kDouble)), ignored_sum = at::zeros_like(ignored);
    MakeSlots(tiling);
    for (int64_t tile = 0; tile < tiling.count(); ++tile) {
      at::Tensor scores = ScoresOf(first, tiling, tile);
      at::Tensor tops = top.narrow(0, tiling.first_row(tile), tiling.rows(tile));
      at::Tensor sums = sum.narrow(0, tiling.first_row(tile), tiling.rows(tile));
      IgnoreFalseNegatives(tiling, tile, edges.Excluded(indices, tile), scores, ignored, ignored_sum);
      ops_.AccumulateLse(scores, edges.Excluded(indices, tile), tops, sums);
    }
    std::vector<at::Tensor> parts = {longest_square_, squares, along, top.to(at::kDouble), sum.to(at::kDouble), dots};
    if (limits_.defined()) parts.insert(parts.end(), {ignored, ignored_sum});
    return at::cat(parts);
  }

  // The scores above which a row's pairs are false negatives: +inf without a positive. `dots`: those of the positives first.
  // Undefined: none is ignored. The host need not know the positives' scores for it.
  at::Tensor LimitsOf(int64_t height, const at::Tensor& positive_rows, const at::Tensor& dots) const {
    if (!in_.false_negative_margin.has_value()) return {};
    at::Tensor lowest = at::full({height}, -kMinusInfinity, Options(at::kDouble));
    lowest.scatter_reduce_(0, positive_rows, dots.narrow(0, 0, positive_rows.numel()), "amin");
    return ((lowest + *in_.false_negative_margin) / in_.temperature).to(type_);
  }

  // Counts them where the last two tensors, of all rows, are defined.
  void IgnoreFalseNegatives(const Tiling& tiling, int64_t tile, const at::Tensor& excluded, at::Tensor& scores,
                            const at::Tensor& ignored, const at::Tensor& ignored_sum) const {
    if (!limits_.defined()) return;
    const auto of_tile = [&](const at::Tensor& all) {
      return all.defined() ? all.narrow(0, tiling.first_row(tile), tiling.rows(tile)) : at::Tensor();
    };
    at::Tensor counts = of_tile(ignored), sums = of_tile(ignored_sum);
    ops_.IgnoreAbove(scores, excluded, of_tile(limits_), counts, sums);
  }

  // `scales`: RowScales in one piece, positives in the order of tiles.
  void Backward(int64_t first, const Tiling& tiling, const TileEdges& edges, const at::Tensor& indices,
                const at::Tensor& scales) {
    const at::Tensor d_positives = scales.narrow(0, 2 * tiling.height, edges.positive_count());
    const auto slots = static_cast<int64_t>(slots_.size());
    // Starts with the last tile: the forward pass left it in the slot that the tiles beyond the kept ones share.
    for (int64_t tile = tiling.count() - 1; tile >= 0; --tile) {
      const bool kept = tile < slots - 1 || tile == tiling.count() - 1;
      at::Tensor scores = kept ? SlotOf(tiling, tile) : ScoresOf(first, tiling, tile);
      const int64_t row = tiling.first_row(tile), column = tiling.first_column(tile);
      if (!kept) IgnoreFalseNegatives(tiling, tile, edges.Excluded(indices, tile), scores, {}, {});
      ops_.Weigh(scores, edges.Excluded(indices, tile), scales.narrow(0, row, tiling.rows(tile)),
                 scales.narrow(0, tiling.height + row, tiling.rows(tile)));
      if (const at::Tensor positions = edges.Positives(indices, tile); positions.defined()) {
        ops_.Scatter(scores, positions, edges.OfTile(d_positives, tile));
      }
      const Operand passages = passages_.Rows(column, tiling.columns(tile));
      const Operand queries = queries_.Rows(first + row, tiling.rows(tile));
      const Operand weights = OperandOf(scores);
      AddWeighted(weights, passages, result_.d_queries.narrow(0, first + row, tiling.rows(tile)));
      AddWeighted(weights.Transposed(), queries, result_.d_passages.narrow(0, column, tiling.columns(tile)));
    }
  }

  void MakeSlots(const Tiling& tiling) {
    const int64_t tile_bytes = plan_.rows * plan_.columns * static_cast<int64_t>(c10::elementSize(type_));
    const int64_t slots = std::clamp<int64_t>(plan_.kept_bytes / tile_bytes, 1, std::max<int64_t>(1, tiling.count()));
    while (static_cast<int64_t>(slots_.size()) < slots) {
      slots_.push_back(at::empty({plan_.rows * plan_.columns}, Options(type_)));
    }
  }

  // The memory of the tile's scores. Tiles beyond the slots share the last one.
  at::Tensor SlotOf(const Tiling& tiling, int64_t tile) const {
    const int64_t height = tiling.rows(tile), width = tiling.columns(tile);
    const at::Tensor& slot = slots_[std::min<size_t>(tile, slots_.size() - 1)];
    return slot.narrow(0, 0, height * width).view({height, width});
  }

  at::Tensor ScoresOf(int64_t first, const Tiling& tiling, int64_t tile) const {
    at::Tensor scores = SlotOf(tiling, tile);
    Scores(queries_.Rows(first + tiling.first_row(tile), tiling.rows(tile)),
           passages_.Rows(tiling.first_column(tile), tiling.columns(tile)), 1 / in_.temperature, scores);
    return scores;
  }

  // Whether all scores are finite. If not, the result names the first passage or row.
  bool Finite(int64_t first, const RowNumbers& numbers) {
    if (!std::isfinite(numbers.longest_passage())) {
      result_.first_non_finite_passage = FirstNonFinite(in_.passages);
      if (result_.first_non_finite_passage >= 0) return false;
    }
    const double limit = type_ == at::kDouble ? 1e300 : 1e38;
    for (int64_t row = 0; row < numbers.height; ++row) {
      if (!(numbers.length(row) * numbers.longest_passage() / in_.temperature <= limit)) {
        result_.first_non_finite_row = first + row;
        return false;
      }
    }
    return true;
  }

  // Adds the rows' loss and counts to the result.
  RowScales EvaluateRows(int64_t first, const RowNumbers& numbers) {
    RowScales out{std::vector<double>(numbers.height, 0), std::vector<double>(numbers.height, 0),
                  std::vector<double>(numbers.positives, 0)};
    for (int64_t r = 0; r < numbers.height; ++r) {
      const int64_t row = first + r, begin = in_.positives.begin(row), count = in_.positives.end(row) - begin;
      if (count == 0) continue;
      const bool negatives = numbers.top(r) != kMinusInfinity;
      const int64_t offset = begin - in_.positives.begin(first);
      const std::span similarities(numbers.positive_similarities() + offset, count);
      CountPairs(numbers.similarity_sum(r) - in_.temperature * numbers.false_negative_sum(r), similarities,
                 {numbers.ignored_similarities() + in_.ignored.begin(row) - in_.ignored.begin(first),
                  static_cast<size_t>(in_.ignored.end(row) - in_.ignored.begin(row))},
                 static_cast<int64_t>(numbers.false_negatives(r)));
      if (in_.without_objective) continue;
      std::vector<double> scores(similarities.begin(), similarities.end());
      for (double& score : scores) score /= in_.temperature;
      const std::span<double> gradient(out.d_positives.data() + offset, count);
      const std::span<const uint8_t> noise(in_.noise.data() + (in_.noise.empty() ? 0 : begin), in_.noise.empty() ? 0 : count);
      const std::span<const double> weights(in_.positive_weights.data() + (in_.positive_weights.empty() ? 0 : begin),
                                            in_.positive_weights.empty() ? 0 : count);
      const RowGradient loss =
          EvaluateRow(in_.objective, scores, weights,
                      negatives ? numbers.top(r) + std::log(numbers.sum(r)) : kMinusInfinity, gradient);
      result_.entropy_sum += EntropyOf(gradient);
      // R = 0: every valid row has weight 0, and the batch counts as one without a valid row.
      const double weight = in_.row_weights.empty() ? 1.0 : in_.row_weights[row];
      result_.weights.AddRow(similarities, gradient, noise, weight);
      const double share = in_.total_weight > 0 ? in_.factor * weight / in_.total_weight : 0;
      result_.loss_sum += share * loss.loss;
      for (double& d : gradient) d *= share / in_.temperature;
      if (!negatives) continue;
      // exp(s - A) as exp(s - top) / sum: `top` is exact in float32, A would not be.
      out.base[r] = numbers.top(r);
      out.scale[r] = share * loss.push / in_.temperature / numbers.sum(r);
    }
    return out;
  }

  // A sum over negatives is the sum over all pairs minus the excluded ones. `similarity_sum` leaves out false negatives only.
  void CountPairs(double similarity_sum, std::span<const double> positives, std::span<const double> ignored,
                  int64_t false_negatives) {
    double positive_sum = 0, ignored_sum = 0;
    for (const double similarity : positives) positive_sum += similarity;
    for (const double similarity : ignored) ignored_sum += similarity;
    ++result_.valid_rows;
    result_.positive_pairs += static_cast<int64_t>(positives.size());
    result_.ignored_pairs += static_cast<int64_t>(ignored.size()) + false_negatives;
    result_.negative_pairs += columns_ - static_cast<int64_t>(positives.size() + ignored.size()) - false_negatives;
    result_.positive_sum += positive_sum;
    result_.negative_sum += similarity_sum - positive_sum - ignored_sum;
  }

  const LossInput& in_;
  const TileOps& ops_;
  const TilePlan plan_;
  const at::ScalarType type_;
  const int64_t rows_, columns_;
  const Operand queries_, passages_;
  LossResult result_;
  at::Tensor passage_sum_, longest_square_;
  at::Tensor limits_;  // of the rows that are visited: LimitsOf
  std::vector<at::Tensor> slots_;
};

}  // namespace

LossResult EvaluateLoss(const LossInput& input) {
  at::NoGradGuard no_gradient;
  LossResult result = Streamer(input).Run();
  if (result.d_queries.defined()) AddDistillation(input, OpsOf(input), result);
  return result;
}

}  // namespace muster
