#include "worker/rank/loss/pair_scores.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>

#include <algorithm>

namespace muster {
namespace {

constexpr int64_t kGatheredNumbers = 1 << 18;  // of either side at a time
constexpr int64_t kLanes = 8;

template <typename T>
double Dot(const T* x, const T* y, int64_t size) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int64_t k = 0; k < kLanes; ++k) lanes[k] += static_cast<double>(x[i + k]) * y[i + k];
  }
  for (; i < size; ++i) lanes[0] += static_cast<double>(x[i]) * y[i];
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// In place, where the numbers are in reach: a gather would copy each row several times.
template <typename T>
void Direct(const at::Tensor& queries, const at::Tensor& passages, const RowEdges& edges, int64_t first, int64_t height,
            double* out) {
  const int64_t size = queries.size(1);
  const T* q = queries.const_data_ptr<T>();
  const T* p = passages.const_data_ptr<T>();
  at::parallel_for(0, height, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = first + begin; row < first + end; ++row) {
      for (int64_t e = edges.begin(row); e < edges.end(row); ++e) {
        out[e - edges.begin(first)] = Dot(q + row * size, p + edges.columns[e] * size, size);
      }
    }
  });
}

}  // namespace

std::vector<double> ToHost(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

std::vector<double> PairScores(const at::Tensor& queries, const at::Tensor& passages, const RowEdges& edges,
                               int64_t first, int64_t height) {
  const int64_t begin = edges.begin(first), pairs = edges.begin(first + height) - begin;
  std::vector<double> scores(pairs);
  const bool direct = queries.is_cpu() && queries.is_contiguous() && passages.is_contiguous();
  if (direct && queries.scalar_type() == at::kFloat) {
    Direct<float>(queries, passages, edges, first, height, scores.data());
    return scores;
  }
  if (direct && queries.scalar_type() == at::kDouble) {
    Direct<double>(queries, passages, edges, first, height, scores.data());
    return scores;
  }
  std::vector<int64_t> rows(pairs);
  for (int64_t row = first; row < first + height; ++row) {
    std::fill(rows.begin() + edges.begin(row) - begin, rows.begin() + edges.end(row) - begin, row);
  }
  const int64_t at_once = std::max<int64_t>(1, kGatheredNumbers / std::max<int64_t>(1, queries.size(1)));
  for (int64_t i = 0; i < pairs; i += at_once) {
    const int64_t count = std::min(at_once, pairs - i);
    const at::Tensor q = queries.index_select(0, UploadIndices(rows.data() + i, count, queries.device()));
    const at::Tensor p =
        passages.index_select(0, UploadIndices(edges.columns.data() + begin + i, count, queries.device()));
    const std::vector<double> some = ToHost((q.to(at::kDouble) * p.to(at::kDouble)).sum(1));
    std::copy(some.begin(), some.end(), scores.begin() + i);
  }
  return scores;
}

}  // namespace muster
