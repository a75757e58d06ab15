#include "worker/rank/model/pooling.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace muster {
namespace {

int64_t UnpooledOf(const std::vector<int64_t>& unpooled, size_t sequence) {
  return unpooled.empty() ? 0 : unpooled[sequence];
}

// Factors of rows or sequences, on the device of `like` and in its type.
at::Tensor Factors(const std::vector<double>& values, const at::Tensor& like) {
  const at::Tensor host = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<double>());
  return host.to(like.scalar_type()).to(like.device());
}

// A sequence that is left out as a whole takes its last row.
at::Tensor PickRows(const at::Tensor& hidden, const SequencePlan& plan, const std::vector<int64_t>& unpooled,
                    bool last) {
  std::vector<int64_t> rows = plan.first_rows;
  for (size_t s = 0; s < rows.size(); ++s) {
    const int64_t end = plan.lengths[s] - 1;
    rows[s] += last ? end : std::min(UnpooledOf(unpooled, s), end);
  }
  return hidden.index_select(0, IndicesOn(hidden.device(), rows));
}

at::Tensor RunView(const at::Tensor& rows, const Run& run) {
  return rows.narrow(0, run.first_row, run.count * run.length).view({run.count, run.length, rows.size(1)});
}

at::Tensor MeanRows(const at::Tensor& hidden, const SequencePlan& plan) {
  std::vector<int64_t> sizes;
  for (const Run& run : plan.runs) sizes.push_back(run.count * run.length);
  std::vector<at::Tensor> means = hidden.split_with_sizes(sizes, 0);
  for (size_t i = 0; i < means.size(); ++i) {
    means[i] = means[i].view({plan.runs[i].count, plan.runs[i].length, hidden.size(1)}).mean(1);
  }
  return at::cat(means, 0);
}

// What each row counts in its sequence's sum.
std::vector<double> RowWeights(const SequencePlan& plan, const std::vector<int64_t>& unpooled, PoolingMode mode) {
  std::vector<double> weights(plan.rows, 0.0);
  for (size_t s = 0; s < plan.lengths.size(); ++s) {
    const int64_t first = UnpooledOf(unpooled, s), length = plan.lengths[s];
    double total = 0;
    for (int64_t i = first; i < length; ++i) {
      const double weight = mode == PoolingMode::kWeightedMean ? static_cast<double>(i + 1) : 1;
      weights[plan.first_rows[s] + i] = weight;
      total += weight;
    }
    const double divisor = mode == PoolingMode::kMeanSqrtLength ? std::sqrt(total) : total;
    for (int64_t i = first; i < length; ++i) weights[plan.first_rows[s] + i] /= divisor;
  }
  return weights;
}

at::Tensor SumRows(const at::Tensor& hidden, const SequencePlan& plan, const std::vector<double>& row_weights) {
  const at::Tensor weights = Factors(row_weights, hidden).unsqueeze(1);
  std::vector<at::Tensor> sums;
  for (const Run& run : plan.runs) {
    sums.push_back(at::bmm(RunView(weights, run).transpose(1, 2), RunView(hidden, run)).squeeze(1));
  }
  return at::cat(sums, 0);
}

at::Tensor MaxRows(const at::Tensor& hidden, const SequencePlan& plan, const std::vector<int64_t>& unpooled) {
  std::vector<double> left_out(plan.rows, 0.0), kept(plan.lengths.size(), 1.0);
  for (size_t s = 0; s < plan.lengths.size(); ++s) {
    const int64_t first = UnpooledOf(unpooled, s);
    if (first >= plan.lengths[s]) {
      kept[s] = 0;
    } else {
      std::fill_n(left_out.begin() + plan.first_rows[s], first, 1.0);
    }
  }
  at::Tensor rows = hidden;
  if (!unpooled.empty()) {
    rows = rows.masked_fill(Factors(left_out, hidden).ne(0).unsqueeze(1), -std::numeric_limits<double>::infinity());
  }
  std::vector<at::Tensor> largest;
  for (const Run& run : plan.runs) largest.push_back(std::get<0>(at::max(RunView(rows, run), 1)));
  const at::Tensor all = at::cat(largest, 0);
  return unpooled.empty() ? all : all * Factors(kept, hidden).unsqueeze(1);
}

}  // namespace

at::Tensor PoolRows(const at::Tensor& hidden, const SequencePlan& plan, const std::vector<int64_t>& unpooled,
                    PoolingMode mode) {
  TORCH_CHECK(unpooled.empty() || unpooled.size() == plan.lengths.size(), "unpooled tokens of ", unpooled.size(),
              " sequences, the batch has ", plan.lengths.size());
  switch (mode) {
    case PoolingMode::kCls:
    case PoolingMode::kLast: {
      const at::Tensor picked = PickRows(hidden, plan, unpooled, mode == PoolingMode::kLast);
      if (unpooled.empty()) return picked;
      std::vector<double> kept;
      for (size_t s = 0; s < unpooled.size(); ++s) kept.push_back(unpooled[s] < plan.lengths[s] ? 1 : 0);
      return picked * Factors(kept, hidden).unsqueeze(1);
    }
    case PoolingMode::kMean:
      if (unpooled.empty()) return MeanRows(hidden, plan);
      [[fallthrough]];
    case PoolingMode::kWeightedMean:
    case PoolingMode::kMeanSqrtLength:
      return SumRows(hidden, plan, RowWeights(plan, unpooled, mode));
    case PoolingMode::kMax:
      return MaxRows(hidden, plan, unpooled);
  }
  TORCH_CHECK(false, "pooling mode ", static_cast<int>(mode), " is not one of PoolingMode");
}

}  // namespace muster
