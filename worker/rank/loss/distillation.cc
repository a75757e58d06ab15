#include "worker/rank/loss/distillation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <span>
#include <vector>

#include "worker/rank/loss/teacher_list.h"

namespace muster {
namespace {

constexpr int64_t kNumbersAtOnce = int64_t{1} << 22;  // most numbers of copied embeddings; bounds the pairs per block

// The rows of all pairs, followed by their columns.
std::vector<int64_t> PairIndices(const RowEdges& lists) {
  std::vector<int64_t> indices;
  indices.reserve(2 * lists.columns.size());
  for (int64_t row = 0; row < lists.rows(); ++row) indices.insert(indices.end(), lists.end(row) - lists.begin(row), row);
  indices.insert(indices.end(), lists.columns.begin(), lists.columns.end());
  return indices;
}

// Returns d loss / d similarity for each pair, with all factors of the loss, and adds the loss to the result.
std::vector<double> EvaluateLists(const LossInput& in, std::span<const double> similarities, double& loss_sum) {
  const TeacherLists& teacher = *in.teacher;
  std::vector<double> gradient(similarities.size(), 0);
  for (int64_t row = 0; row < teacher.lists.rows(); ++row) {
    const int64_t begin = teacher.lists.begin(row), count = teacher.lists.end(row) - begin;
    const std::span positives(in.positives.columns.data() + in.positives.begin(row),
                              static_cast<size_t>(in.positives.end(row) - in.positives.begin(row)));
    if (positives.empty()) continue;  // not a valid row
    std::vector<double> student, scores;
    std::vector<bool> is_positive;
    for (int64_t i = begin; i < begin + count; ++i) {
      student.push_back(similarities[i] / in.temperature);
      scores.push_back(teacher.scores[i] / teacher.temperature);
      is_positive.push_back(std::ranges::find(positives, teacher.lists.columns[i]) != positives.end());
    }
    const std::span<double> own(gradient.data() + begin, static_cast<size_t>(count));
    const double loss = EvaluateTeacherList(teacher.kind, student, scores, is_positive, own);
    const double weight = in.row_weights.empty() ? 1.0 : in.row_weights[row];
    const double share = in.total_weight > 0 ? in.factor * teacher.weight * weight / in.total_weight : 0;
    loss_sum += share * loss;
    for (double& d : own) d *= share / in.temperature;
  }
  return gradient;
}

// d_queries[row] += gradient * passages[column], and d_passages[column] += gradient * queries[row], for each pair in order.
void AddPairs(const LossInput& in, const at::Tensor& rows, const at::Tensor& columns, const at::Tensor& gradient,
              LossResult& result) {
  const int64_t at_once = std::max<int64_t>(1, kNumbersAtOnce / std::max<int64_t>(1, in.queries.size(1)));
  const auto weighted = [&](const at::Tensor& embeddings, const at::Tensor& indices, int64_t begin, int64_t count) {
    const at::Tensor some = embeddings.index_select(0, indices.narrow(0, begin, count)).to(gradient.scalar_type());
    return some * gradient.narrow(0, begin, count).unsqueeze(1);
  };
  for (int64_t begin = 0; begin < rows.numel(); begin += at_once) {
    const int64_t count = std::min(at_once, rows.numel() - begin);
    result.d_queries.index_add_(0, rows.narrow(0, begin, count), weighted(in.passages, columns, begin, count));
    result.d_passages.index_add_(0, columns.narrow(0, begin, count), weighted(in.queries, rows, begin, count));
  }
}

}  // namespace

void AddDistillation(const LossInput& input, const TileOps& ops, LossResult& result) {
  if (!input.teacher.has_value() || input.teacher->lists.columns.empty()) return;
  const RowEdges& lists = input.teacher->lists;
  const auto pairs = static_cast<int64_t>(lists.columns.size());
  const at::Device device = input.queries.device();
  const at::Tensor indices = ops.ToDevice(PairIndices(lists), device);
  const at::Tensor rows = indices.narrow(0, 0, pairs), columns = indices.narrow(0, pairs, pairs);
  at::Tensor dots = at::empty({pairs}, input.queries.options().dtype(at::kDouble));
  ops.PairDots(input.queries, input.passages, rows, columns, dots);
  const std::vector<double> gradient = EvaluateLists(input, ops.ToHost(dots), result.loss_sum);
  AddPairs(input, rows, columns, ops.ToDevice(gradient, result.d_queries.scalar_type(), device), result);
}

}  // namespace muster
