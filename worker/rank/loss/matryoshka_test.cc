#include "worker/rank/loss/matryoshka.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "worker/rank/loss/testing/dense_reference.h"

namespace muster {
namespace {

DenseBatch AnyBatch() {
  const auto objective =
      static_cast<v1::Objective>(*rc::gen::inRange<int>(v1::Objective_MIN + 1, v1::Objective_MAX + 1));
  return RandomBatch(*rc::gen::arbitrary<uint64_t>(), objective);
}

// The whole embedding and some of the smaller sizes, in any order.
std::vector<EmbeddingCut> AnyCuts(const DenseBatch& batch) {
  const auto whole = static_cast<int64_t>(batch.queries[0].size());
  const auto weight = [] { return 0.25 * *rc::gen::inRange(1, 9); };
  std::vector<EmbeddingCut> cuts = {{whole, weight()}};
  for (int64_t size = 1; size < whole; ++size) {
    if (*rc::gen::arbitrary<bool>()) cuts.insert(cuts.begin() + *rc::gen::inRange<size_t>(0, 2), {size, weight()});
  }
  return cuts;
}

// The model's own normalization comes before the loss: whole embeddings have length 1.
void Normalize(DenseBatch& batch) {
  for (Matrix* matrix : {&batch.queries, &batch.passages}) {
    for (auto& row : *matrix) {
      double square = 0;
      for (const double x : row) square += x * x;
      for (double& x : row) x /= std::sqrt(square);
    }
  }
}

double DifferenceToDense(const DenseBatch& batch, std::span<const EmbeddingCut> cuts, bool normalize,
                         at::ScalarType type) {
  LossInput input = InputFrom(batch, type);
  input.tile_rows = *rc::gen::inRange<int64_t>(1, 15);
  input.tile_columns = *rc::gen::inRange<int64_t>(1, 35);
  DenseResult expected = EvaluateDenseCuts(batch, cuts, normalize);
  const LossResult result = EvaluateLossOfCuts(input, cuts, normalize);
  return LargestDifference(result, expected);
}

RC_GTEST_PROP(Matryoshka, CutsOfRawEmbeddingsMatchTheDenseFormInFloat64, ()) {
  const DenseBatch batch = AnyBatch();
  RC_ASSERT(DifferenceToDense(batch, AnyCuts(batch), /*normalize=*/false, at::kDouble) < 1e-11);
}

// Whole embeddings are used unchanged, so the dense form may divide them by their length, 1, but must leave out the
// slope of that division: the encoder has it.
RC_GTEST_PROP(Matryoshka, CutsAreNormalizedAgainWhereTheModelNormalizes, ()) {
  DenseBatch batch = AnyBatch();
  Normalize(batch);
  batch.temperature = 0.5;  // scores within 2 of 0: no loss is the difference of nearly equal numbers
  const std::vector<EmbeddingCut> cuts = AnyCuts(batch);
  DenseResult expected = EvaluateDenseCuts(batch, {}, true);
  const auto whole = static_cast<int64_t>(batch.queries[0].size());
  for (const EmbeddingCut& cut : cuts) {
    const DenseResult part = EvaluateDenseCuts(batch, std::span(&cut, 1), /*normalize=*/cut.size < whole);
    expected.loss += part.loss;
    for (const auto& [to, from] : {std::pair(&expected.d_queries, &part.d_queries),
                                   std::pair(&expected.d_passages, &part.d_passages)}) {
      for (size_t r = 0; r < to->size(); ++r) {
        for (size_t i = 0; i < to->at(r).size(); ++i) to->at(r)[i] += from->at(r)[i];
      }
    }
  }
  const LossResult result = EvaluateLossOfCuts(InputFrom(batch, at::kDouble), cuts, true);
  // An embedding of one number is 1 or -1, and equal scores have gradients that cancel to 0, so the tolerance has an absolute part.
  const auto near = [](const at::Tensor& x, const Matrix& y) {
    const at::Tensor exact = TensorFrom(y);
    return (x - exact).abs().max().item<double>() <= 1e-11 * (1 + exact.abs().max().item<double>());
  };
  RC_ASSERT(std::abs(result.loss_sum - expected.loss) <= 1e-11 * (1 + expected.loss));
  RC_ASSERT(near(result.d_queries, expected.d_queries) && near(result.d_passages, expected.d_passages));
}

RC_GTEST_PROP(Matryoshka, CountsAndSimilaritiesAreThoseOfTheWholeEmbedding, ()) {
  const DenseBatch batch = AnyBatch();
  const LossInput input = InputFrom(batch, at::kFloat);
  const LossResult whole = EvaluateLoss(input), all = EvaluateLossOfCuts(input, AnyCuts(batch), true);
  RC_ASSERT(all.valid_rows == whole.valid_rows && all.positive_pairs == whole.positive_pairs);
  RC_ASSERT(all.negative_pairs == whole.negative_pairs && all.ignored_pairs == whole.ignored_pairs);
  RC_ASSERT(all.positive_sum == whole.positive_sum && all.negative_sum == whole.negative_sum);
}

RC_GTEST_PROP(Matryoshka, TheWholeEmbeddingAloneIsThePlainLossToTheBit, ()) {
  const DenseBatch batch = AnyBatch();
  const LossInput input = InputFrom(batch, at::kFloat);
  const EmbeddingCut whole = {static_cast<int64_t>(batch.queries[0].size())};
  const LossResult plain = EvaluateLoss(input), cut = EvaluateLossOfCuts(input, std::span(&whole, 1), true);
  RC_ASSERT(plain.loss_sum == cut.loss_sum && plain.entropy_sum == cut.entropy_sum);
  RC_ASSERT(at::equal(plain.d_queries, cut.d_queries) && at::equal(plain.d_passages, cut.d_passages));
}

// As with whole embeddings: numbers of bfloat16, sums of float32.
RC_GTEST_PROP(Matryoshka, BFloat16EmbeddingsAreAccumulatedInFloat32, ()) {
  const DenseBatch batch = AnyBatch();
  const std::vector<EmbeddingCut> cuts = AnyCuts(batch);
  const LossInput narrow = InputFrom(batch, at::kBFloat16);
  LossInput wide = InputFrom(batch, at::kFloat);
  wide.queries = narrow.queries.to(at::kFloat);
  wide.passages = narrow.passages.to(at::kFloat);
  for (const bool normalize : {false, true}) {
    const LossResult x = EvaluateLossOfCuts(narrow, cuts, normalize), y = EvaluateLossOfCuts(wide, cuts, normalize);
    RC_ASSERT(x.d_queries.scalar_type() == at::kFloat && x.d_passages.scalar_type() == at::kFloat);
    RC_ASSERT(LargestDifference(x.d_queries, y.d_queries) < 1e-5);
    RC_ASSERT(LargestDifference(x.d_passages, y.d_passages) < 1e-5);
  }
}

TEST(Matryoshka, NamesWhatIsNotFinite) {
  LossInput input = InputFrom(RandomBatch(7, v1::OBJECTIVE_JOINTLH), at::kFloat);
  const int64_t whole = input.passages.size(1);
  const std::vector<EmbeddingCut> cuts = {{1}, {whole}};
  input.passages[0].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(EvaluateLossOfCuts(input, cuts, true).first_non_finite_passage, 0);
}

TEST(Matryoshka, WithoutTheWholeEmbeddingNothingIsComputed) {
  const LossInput input = InputFrom(RandomBatch(7, v1::OBJECTIVE_JOINTLH), at::kFloat);
  const EmbeddingCut larger = {input.passages.size(1) + 1};
  EXPECT_ANY_THROW(EvaluateLossOfCuts(input, std::span(&larger, 1), true));
}

}  // namespace
}  // namespace muster
