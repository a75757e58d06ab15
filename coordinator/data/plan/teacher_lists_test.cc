#include "coordinator/data/plan/teacher_lists.h"

#include <gtest/gtest.h>

#include "coordinator/data/plan/testing/fake_dataset.h"

namespace muster {
namespace {

using muster::v1::DistillKind;

constexpr DistillKind kKl = muster::v1::DISTILL_KIND_KL, kMargins = muster::v1::DISTILL_KIND_MARGIN_MSE;

// Query 0: two scored positives. Query 1: a scored positive and a scored hard negative. Query 2: a scored positive, and a
// scored passage that is neither positive nor hard negative. Query 3: a scored hard negative and a positive without a score.
// Query 4: no score.
FakeDataset Taught() {
  FakeDataset dataset;
  for (int i = 0; i < 5; ++i) {
    dataset.Query("w" + std::to_string(i));
    dataset.Judge(static_cast<uint32_t>(i), dataset.Document("d" + std::to_string(i), "w1" + std::to_string(i)));
    if (i < 3) dataset.Score(static_cast<uint32_t>(i), 1);
  }
  dataset.Judge(0, 1);
  dataset.Score(0, 0);
  dataset.HardNegative(1, 0);
  dataset.Score(1, -1);
  dataset.Ignore(2, 0);
  dataset.Score(2, 5);
  dataset.HardNegative(3, 0);
  dataset.Score(3, -1);
  return dataset;
}

TEST(CountTeacherLists, CountsTheQueriesWhoseListsHaveSomethingToCompare) {
  const FakeDataset dataset = Taught();
  ChoiceRules rules;
  rules.distill = true;
  const auto queries = [&](DistillKind kind) { return CountTeacherLists(dataset, 0, rules, {0, 1, 2, 3, 4}, kind).queries; };
  EXPECT_EQ(CountTeacherLists(dataset, 0, rules, {0, 1, 2, 3, 4}, kKl).scores, 7u);
  EXPECT_EQ(queries(kKl), 1u) << "without negatives a list is of positives";
  EXPECT_EQ(queries(kMargins), 0u);
  rules.negatives_per_query = 1;
  EXPECT_EQ(queries(kKl), 3u);
  EXPECT_EQ(queries(kMargins), 2u);
  rules.positives_per_query = 1;
  EXPECT_EQ(queries(kKl), 2u);
  rules.positives_per_query = 0;
  rules.draw_one = true;
  EXPECT_EQ(queries(kKl), 2u);
  EXPECT_EQ(CountTeacherLists(dataset, 0, rules, {4}, kKl).scores, 0u);
}

}  // namespace
}  // namespace muster
