// tile_kernels.cu on the host, against sums in float64.
#include "worker/rank/cuda/tile_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "common/random.h"
#include "worker/rank/cuda/testing/host_cuda.h"

namespace muster::cuda {
namespace {

template <typename T>
struct Tile {
  Tile(int64_t rows, int64_t columns) : rows(rows), columns(columns), scores(rows * columns) {
    CounterRandom random(rows * 1000 + columns);
    for (T& score : scores) score = static_cast<T>(60 * random.Uniform() - 30);
    // Excludes the first and the last score, every third score of a row, and one whole row.
    std::set<int64_t> positions = {0, rows * columns - 1};
    for (int64_t c = 0; c < columns; c += 3) positions.insert(rows / 2 * columns + c);
    for (int64_t c = 0; c < columns; ++c) positions.insert(rows / 3 * columns + c);
    excluded.assign(positions.begin(), positions.end());
    out.assign(scores.size(), false);
    for (const int64_t position : excluded) out[position] = true;
  }
  int64_t rows, columns;
  std::vector<T> scores;
  std::vector<int64_t> excluded;
  std::vector<bool> out;
};

template <typename T>
class TileKernels : public testing::Test {
 protected:
  static constexpr double kBound = std::is_same_v<T, double> ? 1e-14 : 2e-6;
};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(TileKernels, Numbers);

TYPED_TEST(TileKernels, AccumulateTakesInEveryScoreButTheExcluded) {
  using T = TypeParam;
  constexpr T kNone = -std::numeric_limits<T>::infinity();
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 31}, {5, 257}, {2, 1000}}) {
    const Tile<T> tile(rows, columns);
    double largest_error = 0;
    host_cuda::InEveryOrder([&] {
      std::vector<T> top(rows, kNone), sum(rows, 0);
      for (int time = 0; time < 2; ++time) {  // passes the same tile twice
        std::vector<T> scores = tile.scores;
        ASSERT_EQ(AccumulateLse<T>(scores.data(), rows, columns, tile.excluded.data(),
                                   static_cast<int64_t>(tile.excluded.size()), top.data(), sum.data(), nullptr),
                  cudaSuccess);
      }
      for (int64_t r = 0; r < rows; ++r) {
        T largest = kNone;
        double total = 0;
        for (int64_t c = 0; c < columns; ++c) {
          if (!tile.out[r * columns + c]) largest = std::max(largest, tile.scores[r * columns + c]);
        }
        for (int64_t c = 0; c < columns; ++c) {
          if (!tile.out[r * columns + c]) total += 2 * std::exp(static_cast<double>(tile.scores[r * columns + c]) - largest);
        }
        EXPECT_EQ(top[r], largest);
        if (total == 0) {
          EXPECT_EQ(sum[r], 0);
        } else {
          largest_error = std::max(largest_error, std::abs(sum[r] / total - 1));
        }
      }
    });
    std::printf("%lld x %lld: largest relative error %.2g\n", static_cast<long long>(rows),
                static_cast<long long>(columns), largest_error);
    EXPECT_LE(largest_error, TestFixture::kBound);
  }
}

TYPED_TEST(TileKernels, ScoresThatAreNotFiniteMakeTheSumNaN) {
  using T = TypeParam;
  for (const T bad : {std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN()}) {
    std::vector<T> scores(300, 1), top(1, -std::numeric_limits<T>::infinity()), sum(1, 0);
    scores[299] = bad;
    ASSERT_EQ(AccumulateLse<T>(scores.data(), 1, 300, nullptr, 0, top.data(), sum.data(), nullptr), cudaSuccess);
    EXPECT_TRUE(std::isnan(sum[0]));
  }
}

TYPED_TEST(TileKernels, IgnoreAboveLeavesOutAndCountsWhatIsAboveARowsLimit) {
  using T = TypeParam;
  constexpr T kNone = -std::numeric_limits<T>::infinity();
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {4, 33}, {3, 513}}) {
    const Tile<T> tile(rows, columns);
    std::vector<T> limits(rows);
    for (int64_t r = 0; r < rows; ++r) limits[r] = r == 1 ? -kNone : static_cast<T>(3 * r - 4);
    double largest_error = 0;
    host_cuda::InEveryOrder([&] {
      std::vector<T> scores = tile.scores, uncounted = tile.scores;
      std::vector<double> counts(rows, 1), sums(rows, 0);
      ASSERT_EQ(IgnoreAbove<T>(scores.data(), rows, columns, tile.excluded.data(), static_cast<int64_t>(tile.excluded.size()),
                               limits.data(), counts.data(), sums.data(), nullptr),
                cudaSuccess);
      ASSERT_EQ(IgnoreAbove<T>(uncounted.data(), rows, columns, tile.excluded.data(),
                               static_cast<int64_t>(tile.excluded.size()), limits.data(), nullptr, nullptr, nullptr),
                cudaSuccess);
      EXPECT_EQ(uncounted, scores);
      for (int64_t r = 0; r < rows; ++r) {
        double count = 1, sum = 0;
        for (int64_t i = r * columns; i < (r + 1) * columns; ++i) {
          const bool above = tile.scores[i] > limits[r];
          EXPECT_EQ(scores[i], tile.out[i] || above ? kNone : tile.scores[i]);
          if (!tile.out[i] && above) count += 1, sum += tile.scores[i];
        }
        EXPECT_EQ(counts[r], count);
        largest_error = std::max(largest_error, std::abs(sums[r] - sum) / (1 + std::abs(sum)));
      }
    });
    EXPECT_LE(largest_error, 1e-12);
  }
}

TYPED_TEST(TileKernels, WeighScalesEveryRowAndZeroesTheExcluded) {
  using T = TypeParam;
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {4, 33}, {3, 513}}) {
    const Tile<T> tile(rows, columns);
    std::vector<T> lse(rows), scale(rows);
    for (int64_t r = 0; r < rows; ++r) lse[r] = static_cast<T>(28 + r), scale[r] = static_cast<T>(r == 1 ? 0 : 0.5 * r + 1);
    double largest_error = 0;
    host_cuda::InEveryOrder([&] {
      std::vector<T> scores = tile.scores;
      ASSERT_EQ(Weigh<T>(scores.data(), rows, columns, tile.excluded.data(),
                         static_cast<int64_t>(tile.excluded.size()), lse.data(), scale.data(), nullptr),
                cudaSuccess);
      for (int64_t i = 0; i < rows * columns; ++i) {
        const int64_t r = i / columns;
        const double expected = tile.out[i] ? 0 : scale[r] * std::exp(static_cast<double>(tile.scores[i]) - lse[r]);
        if (expected == 0) {
          EXPECT_EQ(scores[i], 0);
        } else {
          largest_error = std::max(largest_error, std::abs(scores[i] / expected - 1));
        }
      }
    });
    EXPECT_LE(largest_error, TestFixture::kBound);
  }
}

// More positions than a block has threads, and one more than whole blocks have.
TYPED_TEST(TileKernels, ScatterWritesItsPositionsAndNoOther) {
  using T = TypeParam;
  for (const int64_t count : {0, 1, 255, 257, 769}) {
    const Tile<T> tile(37, 31);
    std::vector<T> expected = tile.scores, values(count);
    std::vector<int64_t> positions(count);
    for (int64_t i = 0; i < count; ++i) {
      positions[i] = i * 500 % (37 * 31);  // distinct: 500 and 1147 have no common divisor
      values[i] = static_cast<T>(i + 100);
      expected[positions[i]] = values[i];
    }
    host_cuda::InEveryOrder([&] {
      std::vector<T> scores = tile.scores;
      ASSERT_EQ(Scatter<T>(scores.data(), positions.data(), values.data(), count, nullptr), cudaSuccess);
      EXPECT_EQ(scores, expected) << count << " positions";
    });
  }
}

}  // namespace
}  // namespace muster::cuda
