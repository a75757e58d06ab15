#include "worker/rank/evaluate/top_documents.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "common/random.h"

namespace muster {
namespace {

// Scores from a set of few values, so that ties are everywhere.
at::Tensor Matrix(int64_t rows, int64_t columns, uint64_t seed, uint64_t values) {
  CounterRandom random(seed);
  at::Tensor matrix = at::empty({rows, columns});
  for (int64_t i = 0; i < matrix.numel(); ++i) matrix.data_ptr<float>()[i] = static_cast<float>(random.Below(values));
  return matrix;
}

TEST(TopDocuments, EqualAFullSortWithSmallerNumbersFirstAmongTies) {
  for (const uint64_t values : {2, 5, 1000}) {
    const at::Tensor queries = Matrix(6, 3, 1, values), documents = Matrix(57, 3, 2, values);
    const at::Tensor numbers = at::arange(57, at::kLong) * 3 + 1;
    for (const auto& [k, tile] : {std::pair{1, 8}, {10, 7}, {10, 1000}, {60, 20}}) {
      const TopDocuments top = FindTopDocuments(queries, documents, numbers, k, tile);
      for (int64_t q = 0; q < 6; ++q) {
        std::vector<std::pair<float, int64_t>> all;
        for (int64_t d = 0; d < 57; ++d) {
          all.emplace_back(-queries[q].dot(documents[d]).item<float>(), 3 * d + 1);
        }
        std::sort(all.begin(), all.end());
        for (int64_t i = 0; i < k; ++i) {
          const int64_t expected = i < 57 ? all[i].second : -1;
          EXPECT_EQ(top.numbers[q][i].item<int64_t>(), expected) << "k " << k << " tile " << tile << " place " << i;
        }
      }
    }
  }
}

TEST(TopDocuments, OfTwoHalvesMergeToThoseOfTheWhole) {
  const at::Tensor queries = Matrix(4, 3, 3, 3), documents = Matrix(40, 3, 4, 3);
  const at::Tensor numbers = at::arange(40, at::kLong);
  const TopDocuments whole = FindTopDocuments(queries, documents, numbers, 12);
  const TopDocuments merged =
      MergeTopDocuments(FindTopDocuments(queries, documents.narrow(0, 25, 15), numbers.narrow(0, 25, 15), 12),
                        FindTopDocuments(queries, documents.narrow(0, 0, 25), numbers.narrow(0, 0, 25), 12), 12);
  EXPECT_TRUE(merged.numbers.equal(whole.numbers));
  EXPECT_TRUE(merged.scores.equal(whole.scores));
}

}  // namespace
}  // namespace muster
