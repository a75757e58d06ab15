// pair_kernels.cu on the host, against long double.
#include "worker/rank/cuda/pair_kernels.h"

#include "worker/rank/cuda/testing/kernel_cases.h"

namespace muster::cuda {
namespace {

template <typename E>
class PairKernels : public testing::Test {};
using Elements = testing::Types<float, double, __nv_bfloat16>;
TYPED_TEST_SUITE(PairKernels, Elements);

template <typename A, typename B>
double Dot(const A* a, const B* b, int64_t width) {
  long double sum = 0;
  for (int64_t i = 0; i < width; ++i) sum += static_cast<long double>(a[i]) * static_cast<long double>(b[i]);
  return static_cast<double>(sum);
}

TYPED_TEST(PairKernels, AreDotProductsInFloat64) {
  using E = TypeParam;
  for (const int64_t width : {1, 37, 768}) {
    const auto queries = RandomNumbers<E>(5 * width, 1), passages = RandomNumbers<E>(7 * width, 2);
    const auto direction = RandomNumbers<double>(width, 3);
    std::vector<int64_t> rows, columns;
    std::vector<double> dots, squares, along;
    for (int64_t i = 0; i < 19; ++i) {
      rows.push_back(i * 3 % 5);
      columns.push_back(i * 5 % 7);
      dots.push_back(Dot(&queries[rows[i] * width], &passages[columns[i] * width], width));
    }
    for (int64_t r = 0; r < 5; ++r) {
      squares.push_back(Dot(&queries[r * width], &queries[r * width], width));
      along.push_back(Dot(&queries[r * width], direction.data(), width));
    }
    host_cuda::InEveryOrder([&] {
      auto own = Unwritten<double>(19), own_squares = Unwritten<double>(5), own_along = Unwritten<double>(5);
      ASSERT_EQ(PairDots(kElementOf<E>, queries.data(), passages.data(), rows.data(), columns.data(), 19, width,
                         own.data(), nullptr),
                cudaSuccess);
      ASSERT_EQ(MeasureRows(kElementOf<E>, queries.data(), 5, width, direction.data(), own_squares.data(),
                            own_along.data(), nullptr),
                cudaSuccess);
      EXPECT_CLOSE(own, dots, 1e-14);
      EXPECT_CLOSE(own_squares, squares, 1e-14);
      EXPECT_CLOSE(own_along, along, 1e-14);
    });
  }
}

}  // namespace
}  // namespace muster::cuda
