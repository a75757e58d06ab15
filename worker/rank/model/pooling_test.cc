#include "worker/rank/model/pooling.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

constexpr PoolingMode kModes[] = {PoolingMode::kCls,  PoolingMode::kMean,         PoolingMode::kLast,
                                  PoolingMode::kMax,  PoolingMode::kWeightedMean, PoolingMode::kMeanSqrtLength};

// sentence-transformers' Pooling over one sequence [L, hidden], of which `first` tokens are masked.
at::Tensor Expected(const at::Tensor& x, int64_t first, PoolingMode mode) {
  const int64_t length = x.size(0);
  if (first >= length) return at::zeros({x.size(1)}, x.options());
  const at::Tensor kept = x.narrow(0, first, length - first);
  const at::Tensor places = at::arange(first + 1, length + 1, x.options()).unsqueeze(1);
  switch (mode) {
    case PoolingMode::kCls:
      return x[first];
    case PoolingMode::kLast:
      return x[length - 1];
    case PoolingMode::kMean:
      return kept.sum(0) / (length - first);
    case PoolingMode::kMax:
      return std::get<0>(kept.max(0));
    case PoolingMode::kWeightedMean:
      return (kept * places).sum(0) / places.sum();
    case PoolingMode::kMeanSqrtLength:
      return kept.sum(0) / std::sqrt(static_cast<double>(length - first));
  }
  return {};
}

void ExpectAsOfSentenceTransformers(const std::vector<int64_t>& unpooled) {
  PackedBatch batch = RandomBatch(SmallConfig(), {1, 3, 3, 5, 9}, 1);
  batch.unpooled = unpooled;
  const SequencePlanPtr plan = MakeSequencePlan(batch, {});
  auto generator = at::detail::createCPUGenerator(3);
  const at::Tensor hidden =
      at::randn({plan->rows, 7}, generator, at::TensorOptions().dtype(at::kDouble)).set_requires_grad(true);
  const at::Tensor cotangent = at::sin(at::arange(35, hidden.options().requires_grad(false))).view({5, 7});
  for (const PoolingMode mode : kModes) {
    const at::Tensor pooled = PoolRows(hidden, plan, mode);
    std::vector<at::Tensor> rows;
    for (size_t s = 0; s < batch.lengths.size(); ++s) {
      rows.push_back(Expected(hidden.narrow(0, plan->first_rows[s], batch.lengths[s]),
                              unpooled.empty() ? 0 : unpooled[s], mode));
    }
    const at::Tensor expected = at::stack(rows);
    EXPECT_LE(LargestDifference(pooled, expected), 1e-14) << static_cast<int>(mode);
    const at::Tensor own = torch::autograd::grad({(pooled * cotangent).sum()}, {hidden})[0],
                     wanted = torch::autograd::grad({(expected * cotangent).sum()}, {hidden})[0];
    EXPECT_LE(LargestDifference(own, wanted), 1e-14) << static_cast<int>(mode);
  }
}

TEST(Pooling, EveryModeIsThatOfSentenceTransformers) { ExpectAsOfSentenceTransformers({}); }

TEST(Pooling, LeavesPromptsOut) { ExpectAsOfSentenceTransformers({0, 1, 2, 0, 4}); }

TEST(Pooling, ASequenceThatIsAllPromptIsZero) { ExpectAsOfSentenceTransformers({1, 3, 7, 0, 9}); }

}  // namespace
}  // namespace muster
