#include "worker/rank/loss/streaming_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "worker/rank/loss/pair_scores.h"
#include "worker/rank/loss/row.h"
#include "worker/rank/loss/tile_ops.h"
#include "worker/rank/loss/tile_products.h"

namespace muster {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
constexpr int64_t kPassagesAtOnce = 512;  // copied to float64

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

class Streamer {
 public:
  explicit Streamer(const LossInput& input)
      : in_(input),
        ops_(TileOpsOf(input.queries.device().type())),
        type_(input.queries.scalar_type() == at::kDouble ? at::kDouble : at::kFloat),
        device_(input.queries.device()),
        rows_(input.queries.size(0)),
        columns_(input.passages.size(0)),
        tile_rows_(std::min(input.tile_rows, std::max<int64_t>(1, rows_))),
        tile_columns_(std::min(input.tile_columns, std::max<int64_t>(1, columns_))),
        tiles_((columns_ + tile_columns_ - 1) / tile_columns_) {}

  LossResult Run() {
    const auto options = in_.queries.options().dtype(type_);
    result_.d_queries = at::zeros(in_.queries.sizes(), options);
    result_.d_passages = at::zeros(in_.passages.sizes(), options);
    if (rows_ == 0) return std::move(result_);
    if (const int64_t bad = MeasurePassages(); bad >= 0) return {.first_non_finite_passage = bad};
    const int64_t tile_bytes = tile_rows_ * tile_columns_ * static_cast<int64_t>(c10::elementSize(type_));
    const int64_t slots = std::clamp<int64_t>(in_.kept_bytes / tile_bytes, 1, std::max<int64_t>(1, tiles_));
    for (int64_t i = 0; i < slots; ++i) slots_.push_back(at::empty({tile_rows_ * tile_columns_}, options));
    for (int64_t first = 0; first < rows_; first += tile_rows_) {
      const int64_t height = std::min(tile_rows_, rows_ - first);
      const int64_t bad = MeasureQueries(first, height);
      if (bad >= 0) return {.first_non_finite_row = bad};
      Block(first, height);
    }
    return std::move(result_);
  }

 private:
  // The sum of all passages, and the length of the longest. The first passage that is not finite, or -1.
  int64_t MeasurePassages() {
    const auto options = in_.queries.options().dtype(at::kDouble);
    passage_sum_ = at::zeros({in_.passages.size(1)}, options);
    at::Tensor longest = at::zeros({}, options);
    for (int64_t c = 0; c < columns_; c += kPassagesAtOnce) {
      at::Tensor some = in_.passages.narrow(0, c, std::min(kPassagesAtOnce, columns_ - c)).to(at::kDouble);
      passage_sum_ += some.sum(0);
      longest = at::maximum(longest, (some * some).sum(1).max());
    }
    longest_passage_ = std::sqrt(longest.item<double>());
    return std::isfinite(longest_passage_) ? -1 : FirstNonFinite(in_.passages);
  }

  // The first row with an element that is not finite, or -1: squares of float64 overflow before their roots do.
  static int64_t FirstNonFinite(const at::Tensor& rows) {
    const at::Tensor bad = at::isfinite(rows).all(1).logical_not();
    return bad.any().item<bool>() ? bad.to(at::kInt).argmax().item<int64_t>() : -1;
  }

  // Sums of similarities over all columns, without visiting them. The first row whose scores may not be finite, or -1.
  int64_t MeasureQueries(int64_t first, int64_t height) {
    const double limit = type_ == at::kDouble ? 1e300 : 1e38;
    const at::Tensor some = in_.queries.narrow(0, first, height).to(at::kDouble);
    const std::vector<double> squares = ToHost((some * some).sum(1));
    for (int64_t row = 0; row < height; ++row) {
      const double bound = std::sqrt(squares[row]) * longest_passage_ / in_.temperature;
      if (!(bound <= limit)) return first + row;
    }
    similarity_sums_ = ToHost(at::matmul(some, passage_sum_));
    return -1;
  }

  void Block(int64_t first, int64_t height) {
    const at::Tensor queries = in_.queries.narrow(0, first, height);
    const BlockEdges edges(in_.positives, in_.ignored, first, height, columns_, tile_columns_, device_);
    at::Tensor top = at::full({height}, kMinusInfinity, result_.d_queries.options());
    at::Tensor sum = at::zeros({height}, result_.d_queries.options());
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      at::Tensor scores = ScoresOf(queries, tile);
      ops_.AccumulateLse(scores, edges.Excluded(tile), top, sum);
    }
    EvaluateRows(first, height, ToHost(top), ToHost(sum));
    // exp(s - A) as exp(s - top) / sum: `top` is exact in float32, A would not be.
    const at::Tensor base = UploadNumbers(base_, type_, device_), scale = UploadNumbers(scale_, type_, device_);
    const at::Tensor d_positives = edges.InTileOrder(d_positives_, type_);
    // From the last tile, which the forward pass left in the slot that tiles share.
    for (int64_t tile = tiles_ - 1; tile >= 0; --tile) {
      const bool kept = tile < static_cast<int64_t>(slots_.size()) - 1 || tile == tiles_ - 1;
      at::Tensor scores = kept ? SlotOf(height, tile) : ScoresOf(queries, tile);
      ops_.Weigh(scores, edges.Excluded(tile), base, scale);
      if (const at::Tensor at = edges.Positives(tile); at.defined()) {
        scores.view(-1).index_copy_(0, at, edges.OfTile(d_positives, tile));
      }
      AddWeighted(scores, PassagesOf(tile), result_.d_queries.narrow(0, first, height));
      AddWeighted(scores.t(), queries, result_.d_passages.narrow(0, tile * tile_columns_, scores.size(1)));
    }
  }

  at::Tensor PassagesOf(int64_t tile) const {
    const int64_t begin = tile * tile_columns_;
    return in_.passages.narrow(0, begin, std::min(tile_columns_, columns_ - begin));
  }

  // Where the tile's scores stand. Tiles beyond the slots share the last one.
  at::Tensor SlotOf(int64_t height, int64_t tile) const {
    const int64_t width = std::min(tile_columns_, columns_ - tile * tile_columns_);
    const at::Tensor& slot = slots_[std::min<size_t>(tile, slots_.size() - 1)];
    return slot.narrow(0, 0, height * width).view({height, width});
  }

  at::Tensor ScoresOf(const at::Tensor& queries, int64_t tile) const {
    at::Tensor scores = SlotOf(queries.size(0), tile);
    Scores(queries, PassagesOf(tile), 1 / in_.temperature, scores);
    return scores;
  }

  // Loss and counts of a block's rows; scale_, base_ and d_positives_ for its gradient.
  void EvaluateRows(int64_t first, int64_t height, const std::vector<double>& top, const std::vector<double>& sum) {
    const std::vector<double> positives = PairScores(in_.queries, in_.passages, in_.positives, first, height);
    const std::vector<double> ignored = PairScores(in_.queries, in_.passages, in_.ignored, first, height);
    base_.assign(height, 0);
    scale_.assign(height, 0);
    d_positives_.assign(positives.size(), 0);
    for (int64_t r = 0; r < height; ++r) {
      const int64_t row = first + r, begin = in_.positives.begin(row), count = in_.positives.end(row) - begin;
      if (count == 0) continue;
      const bool negatives = top[r] != kMinusInfinity;
      const int64_t at = begin - in_.positives.begin(first);
      const std::span similarities(positives.data() + at, count);
      CountPairs(r, similarities, {ignored.data() + in_.ignored.begin(row) - in_.ignored.begin(first),
                                        static_cast<size_t>(in_.ignored.end(row) - in_.ignored.begin(row))});
      std::vector<double> scores(similarities.begin(), similarities.end());
      for (double& score : scores) score /= in_.temperature;
      const std::span<double> gradient(d_positives_.data() + at, count);
      const std::span<const double> weights(in_.positive_weights.data() + (in_.positive_weights.empty() ? 0 : begin),
                                            in_.positive_weights.empty() ? 0 : count);
      const RowGradient out = EvaluateRow(in_.objective, scores, weights,
                                          negatives ? top[r] + std::log(sum[r]) : kMinusInfinity, gradient);
      result_.entropy_sum += EntropyOf(gradient);
      // R = 0: every valid row has weight 0, and the batch counts as one without a valid row.
      const double weight = in_.row_weights.empty() ? 1.0 : in_.row_weights[row];
      const double share = in_.total_weight > 0 ? in_.factor * weight / in_.total_weight : 0;
      result_.loss_sum += share * out.loss;
      for (double& d : gradient) d *= share / in_.temperature;
      if (!negatives) continue;
      base_[r] = top[r];
      scale_[r] = share * out.push / in_.temperature / sum[r];
    }
  }

  // Sums over negatives are those over all pairs less the excluded ones.
  void CountPairs(int64_t r, std::span<const double> positives, std::span<const double> ignored) {
    double positive_sum = 0, ignored_sum = 0;
    for (const double similarity : positives) positive_sum += similarity;
    for (const double similarity : ignored) ignored_sum += similarity;
    ++result_.valid_rows;
    result_.positive_pairs += static_cast<int64_t>(positives.size());
    result_.ignored_pairs += static_cast<int64_t>(ignored.size());
    result_.negative_pairs += columns_ - static_cast<int64_t>(positives.size() + ignored.size());
    result_.positive_sum += positive_sum;
    result_.negative_sum += similarity_sums_[r] - positive_sum - ignored_sum;
  }

  const LossInput& in_;
  const TileOps& ops_;
  const at::ScalarType type_;
  const at::Device device_;
  const int64_t rows_, columns_, tile_rows_, tile_columns_, tiles_;
  LossResult result_;
  at::Tensor passage_sum_;
  double longest_passage_ = 0;
  std::vector<at::Tensor> slots_;
  // Of the block at hand.
  std::vector<double> similarity_sums_, base_, scale_, d_positives_;
};

}  // namespace

LossResult EvaluateLoss(const LossInput& input) {
  at::NoGradGuard no_gradient;
  return Streamer(input).Run();
}

}  // namespace muster
