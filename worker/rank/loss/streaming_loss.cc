#include "worker/rank/loss/streaming_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/log.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "worker/rank/loss/row.h"

namespace muster {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
constexpr int64_t kPairsAtOnce = 65536;  // gathered pairs of rows: 65536 * d numbers at most

template <typename T>
at::Tensor Upload(const T* data, int64_t size, at::ScalarType type, at::Device device) {
  const at::Tensor view = at::from_blob(const_cast<T*>(data), {size}, at::TensorOptions().dtype(type));
  return device.is_cpu() ? view.clone() : view.to(device);
}
at::Tensor UploadIndices(const std::vector<int64_t>& values, at::Device device) {
  return Upload(values.data(), static_cast<int64_t>(values.size()), at::kLong, device);
}

std::vector<double> ToHost(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

std::vector<int64_t> RowOfEach(const RowEdges& edges) {
  std::vector<int64_t> rows(edges.columns.size());
  for (int64_t row = 0; row < edges.rows(); ++row) {
    std::fill(rows.begin() + edges.begin(row), rows.begin() + edges.end(row), row);
  }
  return rows;
}

// The pairs that a tile must leave out: those of a run of rows, in ascending order of column.
struct Excluded {
  std::vector<int64_t> rows, columns;  // rows counted from the first of the run
};
Excluded ExcludedOf(const LossInput& input, int64_t first, int64_t last) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (int64_t row = first; row < last; ++row) {
    for (const RowEdges* edges : {&input.positives, &input.ignored}) {
      for (int64_t e = edges->begin(row); e < edges->end(row); ++e) pairs.emplace_back(edges->columns[e], row - first);
    }
  }
  std::sort(pairs.begin(), pairs.end());
  Excluded excluded;
  for (const auto& [column, row] : pairs) {
    excluded.columns.push_back(column);
    excluded.rows.push_back(row);
  }
  return excluded;
}

class Streamer {
 public:
  explicit Streamer(const LossInput& input)
      : in_(input),
        type_(input.queries.scalar_type() == at::kDouble ? at::kDouble : at::kFloat),
        device_(input.queries.device()),
        rows_(input.queries.size(0)),
        columns_(input.passages.size(0)),
        queries_(input.queries.to(type_)),
        passages_(input.passages) {}

  LossResult Run() {
    LossResult result;
    result.first_non_finite_row = FirstBadQuery();
    if (result.first_non_finite_row >= 0) return result;
    const std::vector<double> negative_lse = NegativeLse();
    const std::vector<double> positive_scores = PairScores(in_.positives);
    std::vector<double> push(rows_, 0), d_positives(positive_scores.size(), 0);
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t begin = in_.positives.begin(row), count = in_.positives.end(row) - begin;
      bool finite = negative_lse[row] < std::numeric_limits<double>::infinity();  // false for NaN too
      for (int64_t e = begin; e < begin + count; ++e) finite = finite && std::isfinite(positive_scores[e]);
      if (!finite) {
        result.first_non_finite_row = row;
        return result;
      }
      if (count == 0) continue;
      ++result.valid_rows;
      const std::span<double> gradient(d_positives.data() + begin, count);
      const RowGradient out =
          EvaluateRow(in_.objective, {positive_scores.data() + begin, static_cast<size_t>(count)},
                      in_.positive_weights.empty()
                          ? std::span<const double>()
                          : std::span<const double>(in_.positive_weights.data() + begin, count),
                      negative_lse[row], gradient);
      result.entropy_sum += Entropy(gradient);
      // R = 0: every valid row has weight 0, and the batch counts as one without a valid row.
      const double weight = in_.row_weights.empty() ? 1.0 : in_.row_weights[row];
      const double scale = in_.total_weight > 0 ? weight / in_.total_weight : 0;
      result.loss_sum += scale * out.loss;
      push[row] = scale * out.push / in_.temperature;
      for (double& d : gradient) d *= scale / in_.temperature;
    }
    Backward(negative_lse, push, d_positives, result);
    CountPairs(positive_scores, result);
    return result;
  }

 private:
  static double Entropy(std::span<const double> gradient) {
    double total = 0, entropy = 0;
    for (const double d : gradient) total += std::abs(d);
    if (total <= 0) return 0;
    for (const double d : gradient) {
      const double share = std::abs(d) / total;
      if (share > 0) entropy -= share * std::log(share);
    }
    return entropy;
  }

  // A non-finite passage makes a score of every row non-finite, and so names the first.
  int64_t FirstBadQuery() const {
    if (rows_ == 0) return -1;
    if (columns_ > 0 && !at::isfinite(passages_).all().item<bool>()) return 0;
    const at::Tensor bad = at::isfinite(queries_).all(1).logical_not();
    if (!bad.any().item<bool>()) return -1;
    return bad.to(at::kInt).argmax().item<int64_t>();
  }

  // Calls visit(first row, rows, first column, passages of the tile, scores with -inf at pairs left out).
  template <typename Visit>
  void ForEachTile(const Visit& visit) const {
    for (int64_t r = 0; r < rows_; r += in_.tile_rows) {
      const int64_t height = std::min(in_.tile_rows, rows_ - r);
      const Excluded excluded = ExcludedOf(in_, r, r + height);
      const at::Tensor queries = queries_.narrow(0, r, height) / in_.temperature;
      for (int64_t c = 0; c < columns_; c += in_.tile_columns) {
        const int64_t width = std::min(in_.tile_columns, columns_ - c);
        const at::Tensor passages = passages_.narrow(0, c, width).to(type_);
        at::Tensor scores = at::matmul(queries, passages.t());
        const auto begin = std::lower_bound(excluded.columns.begin(), excluded.columns.end(), c);
        const auto end = std::lower_bound(begin, excluded.columns.end(), c + width);
        if (begin != end) {
          std::vector<int64_t> flat;
          for (auto it = begin; it != end; ++it) {
            flat.push_back(excluded.rows[it - excluded.columns.begin()] * width + (*it - c));
          }
          scores.view(-1).index_fill_(0, UploadIndices(flat, device_), kMinusInfinity);
        }
        visit(r, height, c, passages, scores);
      }
    }
  }

  std::vector<double> NegativeLse() const {
    const auto options = queries_.options();
    at::Tensor top = at::full({rows_}, kMinusInfinity, options), sum = at::zeros({rows_}, options);
    ForEachTile([&](int64_t r, int64_t height, int64_t, const at::Tensor&, at::Tensor& scores) {
      at::Tensor row_top = top.narrow(0, r, height), row_sum = sum.narrow(0, r, height);
      const at::Tensor next = at::maximum(row_top, scores.amax(1));
      // exp(-inf - -inf) is no number: a row without a negative so far is measured from 0.
      const at::Tensor base = at::where(next == kMinusInfinity, at::zeros_like(next), next);
      row_sum.mul_((row_top - base).exp_()).add_(scores.sub_(base.unsqueeze(1)).exp_().sum(1));
      row_top.copy_(next);
    });
    std::vector<double> lse = ToHost(top);
    const std::vector<double> sums = ToHost(sum);
    for (int64_t row = 0; row < rows_; ++row) {
      if (lse[row] != kMinusInfinity) lse[row] += std::log(sums[row]);
    }
    return lse;
  }

  // Scores of the named pairs, after temperature, in float64: there are few.
  std::vector<double> PairScores(const RowEdges& edges) const {
    const std::vector<int64_t> rows = RowOfEach(edges);
    std::vector<double> scores;
    scores.reserve(rows.size());
    for (size_t first = 0; first < rows.size(); first += kPairsAtOnce) {
      const int64_t count = std::min<int64_t>(kPairsAtOnce, rows.size() - first);
      const at::Tensor q = queries_.index_select(0, Upload(rows.data() + first, count, at::kLong, device_));
      const at::Tensor p = passages_.index_select(0, Upload(edges.columns.data() + first, count, at::kLong, device_));
      const std::vector<double> some = ToHost((q.to(at::kDouble) * p.to(at::kDouble)).sum(1) / in_.temperature);
      scores.insert(scores.end(), some.begin(), some.end());
    }
    return scores;
  }

  void Backward(const std::vector<double>& negative_lse, const std::vector<double>& push,
                const std::vector<double>& d_positives, LossResult& result) const {
    result.d_queries = at::zeros_like(queries_);
    result.d_passages = at::zeros(passages_.sizes(), queries_.options());
    std::vector<double> base(rows_);
    for (int64_t row = 0; row < rows_; ++row) base[row] = negative_lse[row] == kMinusInfinity ? 0 : negative_lse[row];
    const at::Tensor lse = Upload(base.data(), rows_, at::kDouble, device_).to(type_).unsqueeze(1);
    const at::Tensor scale = Upload(push.data(), rows_, at::kDouble, device_).to(type_).unsqueeze(1);
    ForEachTile([&](int64_t r, int64_t height, int64_t c, const at::Tensor& passages, at::Tensor& scores) {
      const at::Tensor d = scores.sub_(lse.narrow(0, r, height)).exp_().mul_(scale.narrow(0, r, height));
      result.d_queries.narrow(0, r, height).addmm_(d, passages);
      result.d_passages.narrow(0, c, passages.size(0)).addmm_(d.t(), queries_.narrow(0, r, height));
    });
    const std::vector<int64_t> rows = RowOfEach(in_.positives);
    for (size_t first = 0; first < rows.size(); first += kPairsAtOnce) {
      const int64_t count = std::min<int64_t>(kPairsAtOnce, rows.size() - first);
      const at::Tensor row = Upload(rows.data() + first, count, at::kLong, device_);
      const at::Tensor column = Upload(in_.positives.columns.data() + first, count, at::kLong, device_);
      const at::Tensor d = Upload(d_positives.data() + first, count, at::kDouble, device_).to(type_).unsqueeze(1);
      result.d_queries.index_add_(0, row, passages_.index_select(0, column).to(type_) * d);
      result.d_passages.index_add_(0, column, queries_.index_select(0, row) * d);
    }
  }

  // Sums over negatives without visiting them: all pairs less the excluded ones.
  void CountPairs(const std::vector<double>& positive_scores, LossResult& result) const {
    const std::vector<double> ignored_scores = PairScores(in_.ignored);
    const at::Tensor passage_sum = passages_.sum(0, false, at::kDouble);
    const std::vector<double> all = ToHost(at::matmul(queries_.to(at::kDouble), passage_sum));
    const auto sum = [this](const RowEdges& edges, const std::vector<double>& scores, int64_t row) {
      double total = 0;
      for (int64_t e = edges.begin(row); e < edges.end(row); ++e) total += scores[e] * in_.temperature;
      return total;
    };
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t positives = in_.positives.end(row) - in_.positives.begin(row);
      const int64_t ignored = in_.ignored.end(row) - in_.ignored.begin(row);
      if (positives == 0) continue;
      const double positive_sum = sum(in_.positives, positive_scores, row);
      result.positive_pairs += positives;
      result.ignored_pairs += ignored;
      result.negative_pairs += columns_ - positives - ignored;
      result.positive_sum += positive_sum;
      result.negative_sum += all[row] - positive_sum - sum(in_.ignored, ignored_scores, row);
    }
  }

  const LossInput& in_;
  const at::ScalarType type_;
  const at::Device device_;
  const int64_t rows_, columns_;
  const at::Tensor queries_, passages_;
};

}  // namespace

LossResult EvaluateLoss(const LossInput& input) {
  at::NoGradGuard no_gradient;
  return Streamer(input).Run();
}

}  // namespace muster
