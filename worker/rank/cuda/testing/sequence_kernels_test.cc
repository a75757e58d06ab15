// sequence_kernels.cu and column_sums.cu on the host, against their definitions in float64.
#include "worker/rank/cuda/sequence_kernels.h"

#include <algorithm>
#include <numeric>

#include "worker/rank/cuda/column_sums.h"
#include "worker/rank/cuda/testing/kernel_cases.h"

namespace muster::cuda {
namespace {

template <typename E>
class SequenceKernels : public testing::Test {};
using Elements = testing::Types<float, double, __nv_bfloat16>;
TYPED_TEST_SUITE(SequenceKernels, Elements);

constexpr PoolKind kKinds[] = {PoolKind::kCls, PoolKind::kLast, PoolKind::kMean, PoolKind::kMax,
                               PoolKind::kWeightedMean, PoolKind::kMeanSqrtLength};

// The weight of each row in its sequence's vector, as worker/rank/model/pooling.h says.
std::vector<double> Weights(PoolKind kind, int64_t length, int64_t left_out) {
  std::vector<double> weights(length, 0.0);
  if (left_out >= length) return weights;
  if (kind == PoolKind::kCls) weights[left_out] = 1;
  if (kind == PoolKind::kLast) weights[length - 1] = 1;
  if (kind == PoolKind::kCls || kind == PoolKind::kLast) return weights;
  double total = 0;
  for (int64_t i = left_out; i < length; ++i) total += kind == PoolKind::kWeightedMean ? static_cast<double>(i + 1) : 1;
  for (int64_t i = left_out; i < length; ++i) {
    weights[i] = kind == PoolKind::kWeightedMean     ? static_cast<double>(i + 1) / total
                 : kind == PoolKind::kMeanSqrtLength ? 1 / std::sqrt(total)
                                                     : 1 / total;
  }
  return weights;
}

template <typename E>
void ComparePool(PoolKind kind, int64_t width, bool with_unpooled) {
  using P = ParameterOfCase<E>;
  SCOPED_TRACE(testing::Message() << "kind " << static_cast<int>(kind) << ", width " << width);
  const Sequences sequences(70);
  const int64_t count = sequences.count();
  std::vector<int64_t> unpooled;
  for (int64_t s = 0; s < count; ++s) unpooled.push_back(s == 1 ? 99 : s);  // of the second sequence nothing is left
  const auto hidden = RandomNumbers<E>(70 * width, 5), unused = hidden;
  const auto d_out = RandomNumbers<P>(count * width, 6);
  std::vector<double> out(count * width), d_hidden(70 * width);
  std::vector<int32_t> places(count * width, -1);
  for (int64_t s = 0; s < count; ++s) {
    const int64_t first = sequences.first_rows[s], length = sequences.first_rows[s + 1] - first;
    const int64_t left_out = with_unpooled ? unpooled[s] : 0;
    const std::vector<double> weights = Weights(kind, length, left_out);
    for (int64_t i = 0; i < width; ++i) {
      const int64_t at = s * width + i;
      for (int64_t r = std::min(left_out, length); r < length; ++r) {
        const auto x = static_cast<double>(hidden[(first + r) * width + i]);
        if (kind != PoolKind::kMax) {
          out[at] += weights[r] * x;
          d_hidden[(first + r) * width + i] = weights[r] * d_out[at];
        } else if (places[at] < 0 || x > out[at]) {
          places[at] = static_cast<int32_t>(first + r), out[at] = x;
        }
      }
      if (kind == PoolKind::kMax && places[at] >= 0) d_hidden[places[at] * width + i] = d_out[at];
    }
  }
  host_cuda::InEveryOrder([&] {
    auto own = Unwritten<P>(count * width);
    auto own_d = Unwritten<E>(70 * width);
    std::vector<int32_t> own_places(count * width, -7);
    const PoolJob job{.element = kElementOf<E>, .kind = kind, .sequences = count, .rows = 70, .width = width,
                      .first_rows = sequences.first_rows.data(), .unpooled = with_unpooled ? unpooled.data() : nullptr,
                      .places = own_places.data()};
    ASSERT_EQ(Pool(job, hidden.data(), own.data(), nullptr), cudaSuccess);
    EXPECT_CLOSE(own, out, kSumBoundOf<P>);
    if (kind == PoolKind::kMax) {
      EXPECT_EQ(own_places, places);
    }
    ASSERT_EQ(PoolBackward(job, d_out.data(), own_d.data(), nullptr), cudaSuccess);
    EXPECT_CLOSE(own_d, d_hidden, kBoundOf<E>);
  });
}

TYPED_TEST(SequenceKernels, PoolAndItsBackwardInEveryMode) {
  for (const PoolKind kind : kKinds) {
    for (const int64_t width : {1, 37, 264}) {
      ComparePool<TypeParam>(kind, width, false);
      ComparePool<TypeParam>(kind, width, true);
    }
  }
}

TYPED_TEST(SequenceKernels, TheLargestIsTheFirstOfEqualOnesAndTheFirstNaN) {
  using E = TypeParam;
  using P = ParameterOfCase<E>;
  std::vector<E> hidden(2 * 20, static_cast<E>(1.0f));
  hidden[20 + 13] = hidden[20 + 17] = static_cast<E>(NAN);
  const std::vector<int64_t> first_rows = {0, 20, 40};
  host_cuda::InEveryOrder([&] {
    std::vector<P> out(2);
    std::vector<int32_t> places(2);
    const PoolJob job{.element = kElementOf<E>, .kind = PoolKind::kMax, .sequences = 2, .rows = 40, .width = 1,
                      .first_rows = first_rows.data(), .places = places.data()};
    ASSERT_EQ(Pool(job, hidden.data(), out.data(), nullptr), cudaSuccess);
    EXPECT_EQ(places, (std::vector<int32_t>{0, 33}));
    EXPECT_EQ(out[0], 1);
    EXPECT_TRUE(std::isnan(out[1]));
  });
}

TYPED_TEST(SequenceKernels, ColumnSumsAreAddedToEachTargetInEveryOrder) {
  using E = TypeParam;
  using P = ParameterOfCase<E>;
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {50, 27}, {1300, 300}}) {
    const auto x = RandomNumbers<E>(rows * columns, 4);
    const int64_t first = columns / 3, second = columns - 2 * first;  // uneven parts
    std::vector<double> expected(columns, 5);
    for (int64_t i = 0; i < rows * columns; ++i) expected[i % columns] += static_cast<double>(x[i]);
    std::vector<P> before;
    host_cuda::InEveryOrder([&, rows = rows, columns = columns] {
      std::vector<P> sums(columns, 5);
      auto partial = Unwritten<P>(PartialRows(rows) * columns);
      const SumTargets targets{{sums.data(), sums.data() + first, sums.data() + first + second}, {first, second, first}};
      ASSERT_EQ(AddColumnSums(kElementOf<E>, x.data(), rows, partial.data(), targets, nullptr), cudaSuccess);
      EXPECT_CLOSE(sums, expected, kSumBoundOf<P>);
      if (before.empty()) before = sums;
      EXPECT_TRUE(SameBytes(sums, before));
    });
  }
}

// Must give the same bits as adding one row after the other.
TYPED_TEST(SequenceKernels, RowsAreAddedToTheirIndexInTheirOrder) {
  using P = ParameterOfCase<TypeParam>;
  for (const int64_t width : {1, 11, 1032}) {
    const int64_t count = 60, entries = 9;
    const auto rows = RandomNumbers<P>(count * width, 2);
    const auto table = RandomNumbers<P>(entries * width, 3);
    std::vector<int64_t> indices(count), order(count), sorted(count);
    for (int64_t t = 0; t < count; ++t) indices[t] = t * t % entries;
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return indices[a] < indices[b]; });
    for (int64_t i = 0; i < count; ++i) sorted[i] = indices[order[i]];
    std::vector<P> expected = table;
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t i = 0; i < width; ++i) expected[indices[t] * width + i] += rows[t * width + i];
    }
    host_cuda::InEveryOrder([&] {
      std::vector<P> own = table;
      ASSERT_EQ(AddToRows(kElementOf<P>, rows.data(), sorted.data(), order.data(), count, width, own.data(), nullptr),
                cudaSuccess);
      EXPECT_TRUE(SameBytes(own, expected)) << width;
    });
  }
}

}  // namespace
}  // namespace muster::cuda
