#include "coordinator/data/plan/permutation.h"

#include <gtest/gtest.h>

#include <vector>

namespace muster {
namespace {

TEST(KeyedPermutation, VisitsEveryElementOnceForEverySize) {
  for (uint64_t size : {1, 2, 3, 4, 5, 7, 16, 17, 64, 65, 1000, 4097}) {
    for (uint64_t key = 0; key < 20; ++key) {
      const KeyedPermutation order(size, key);
      std::vector<int> seen(size, 0);
      for (uint64_t i = 0; i < size; ++i) {
        ASSERT_LT(order(i), size);
        ++seen[order(i)];
      }
      EXPECT_EQ(seen, std::vector<int>(size, 1)) << "size " << size << " key " << key;
    }
  }
}

TEST(KeyedPermutation, PutsEveryElementEverywhereAlikeOften) {
  constexpr uint64_t kSize = 5, kKeys = 20000;
  std::vector<std::vector<int>> count(kSize, std::vector<int>(kSize, 0));
  for (uint64_t key = 0; key < kKeys; ++key) {
    const KeyedPermutation order(kSize, MixKey(17, key));
    for (uint64_t i = 0; i < kSize; ++i) ++count[i][order(i)];
  }
  for (const auto& row : count) {
    for (const int n : row) EXPECT_NEAR(n, kKeys / kSize, 300);  // 5 standard deviations: 283
  }
}

}  // namespace
}  // namespace muster
