#include "coordinator/data/plan/step_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <set>

#include "coordinator/data/plan/plan_test_data.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

PlanInputs Inputs(const Dataset& dataset, const ChoiceRules& rules, uint32_t batch) {
  PlanInputs inputs;
  inputs.dataset = &dataset;
  inputs.rules = rules;
  inputs.queries = SelectableQueries(dataset, 0, rules);
  inputs.batch = batch;
  return inputs;
}

std::vector<uint32_t> Row(const std::vector<uint32_t>& offsets, const std::vector<uint32_t>& columns, size_t row) {
  return {columns.begin() + offsets[row], columns.begin() + offsets[row + 1]};
}

size_t RowOf(const StepPlan& plan, uint32_t query) {
  return std::ranges::find(plan.queries, query) - plan.queries.begin();
}
uint32_t ColumnOf(const StepPlan& plan, uint32_t passage) {
  return static_cast<uint32_t>(std::ranges::find(plan.passages, passage) - plan.passages.begin());
}

// Ranks of one step may have their shares from data servers of two versions while one is upgraded.
TEST(PlanStep, OfADatasetOfAnOlderVersionHasTheDigestOfItsNumbers) {
  FakeDataset dataset;
  dataset.Query("w1");
  dataset.Judge(0, dataset.Document("a", "w1"));
  PlanInputs inputs = Inputs(dataset, {}, 1);
  inputs.identity = "identity";
  Sha256 expected;
  expected.Update(inputs.identity);
  const auto add = [&](const auto& value) { expected.Update({reinterpret_cast<const char*>(&value), sizeof value}); };
  for (const uint64_t number : {0, 0, 1}) add(number);  // step, epoch, end of the epoch
  // Queries, passages, positives (offsets, columns, weights), ignored (offsets, columns), weights of rows.
  for (const std::vector<uint32_t>& values : std::vector<std::vector<uint32_t>>{{0}, {0}, {0, 1}, {0}, {}, {0, 0}, {}, {}}) {
    add(uint64_t{values.size()});
    for (const uint32_t value : values) add(value);
  }
  const auto bytes = expected.Finish();
  uint64_t digest = 0;
  std::memcpy(&digest, bytes.data(), sizeof digest);
  EXPECT_EQ(PlanStep(inputs, 0).digest, digest);
}

TEST(PlanStep, IgnoresARelevantPassageThatAnotherQueryBrought) {
  FakeDataset dataset;
  const uint32_t a = dataset.Document("a", "w1"), b = dataset.Document("b", "w2"), c = dataset.Document("c", "w3");
  dataset.Query("w1");
  dataset.Query("w2");
  dataset.Judge(0, a);
  dataset.Judge(0, b);  // not selected: one positive per query, the first
  dataset.Judge(1, b);
  dataset.Judge(1, c, 1, 0, /*split=*/1);  // in another split: does not count here
  dataset.HardNegative(1, c);
  dataset.HardNegative(0, b);  // relevant as well, so not a negative
  ChoiceRules rules;
  rules.positives_per_query = 1;
  rules.negatives_per_query = 4;
  rules.choose_positives = muster::v1::CHOOSE_FIRST;
  const StepPlan plan = PlanStep(Inputs(dataset, rules, 2), 0);
  EXPECT_EQ(plan.passages.size(), 3);
  EXPECT_EQ(plan.total_weight, 2);
  EXPECT_TRUE(plan.epoch_end);
  EXPECT_THAT(plan.row_weights, IsEmpty());
  const size_t row0 = RowOf(plan, 0), row1 = RowOf(plan, 1);
  EXPECT_THAT(Row(plan.positive_offsets, plan.positives, row0), ElementsAre(ColumnOf(plan, 0)));
  EXPECT_THAT(Row(plan.ignored_offsets, plan.ignored, row0), ElementsAre(ColumnOf(plan, 1)));
  EXPECT_THAT(Row(plan.positive_offsets, plan.positives, row1), ElementsAre(ColumnOf(plan, 1)));
  EXPECT_THAT(Row(plan.ignored_offsets, plan.ignored, row1), IsEmpty());
}

// Two positives, of which one has no score; a hard negative; and a passage that the teacher puts above the positive, which
// is neither.
FakeDataset TaughtDataset() {
  FakeDataset dataset;
  dataset.Query("w1");
  dataset.Query("w2");
  for (int i = 0; i < 5; ++i) dataset.Document("d" + std::to_string(i), "w" + std::to_string(i));
  dataset.Judge(0, 0);
  dataset.Score(0, 2);
  dataset.Judge(0, 1);
  dataset.HardNegative(0, 2);
  dataset.Score(0, -1);
  dataset.Ignore(0, 3);
  dataset.Score(0, 3);
  dataset.Judge(1, 4);
  dataset.Score(1, 7);
  return dataset;
}

TEST(PlanStep, ATeachersListIsWhatTheQueryBroughtAndTheTeacherScored) {
  const FakeDataset dataset = TaughtDataset();
  ChoiceRules rules;
  rules.negatives_per_query = 4;
  rules.distill = true;
  const StepPlan plan = PlanStep(Inputs(dataset, rules, 2), 0);
  const size_t row = RowOf(plan, 0);
  EXPECT_THAT(Row(plan.teacher_offsets, plan.teacher_columns, row),
              ElementsAre(ColumnOf(plan, 0), ColumnOf(plan, 2), ColumnOf(plan, 3)));
  EXPECT_THAT(plan.teacher_scores, ElementsAre(2, -1, 3));
  EXPECT_THAT(Row(plan.ignored_offsets, plan.ignored, row), ElementsAre(ColumnOf(plan, 3))) << "the objective leaves it out";
  EXPECT_THAT(Row(plan.teacher_offsets, plan.teacher_columns, RowOf(plan, 1)), IsEmpty()) << "a list of one says nothing";

  rules.negatives_per_query = 0;
  const StepPlan positives = PlanStep(Inputs(dataset, rules, 2), 0);
  EXPECT_THAT(positives.teacher_columns, IsEmpty());
  EXPECT_EQ(positives.teacher_offsets.size(), 3);
}

TEST(PlanStep, WithoutDistillationATeacherChangesNothing) {
  const FakeDataset dataset = TaughtDataset();
  ChoiceRules rules;
  rules.negatives_per_query = 4;
  const StepPlan plan = PlanStep(Inputs(dataset, rules, 2), 0);
  EXPECT_THAT(plan.teacher_offsets, IsEmpty());
  EXPECT_EQ(ColumnOf(plan, 3), plan.passages.size()) << "an ignored passage is not brought";
  rules.distill = true;
  EXPECT_NE(PlanStep(Inputs(dataset, rules, 2), 0).digest, plan.digest);
}

TEST(PlanStep, EqualTextsUnderTwoIdsAreOneColumn) {
  FakeDataset dataset;
  const uint32_t a = dataset.Document("a", "same text"), b = dataset.Document("b", "same text");
  ASSERT_NE(a, b);
  dataset.Query("w1");
  dataset.Query("w2");
  dataset.Judge(0, a);
  dataset.Judge(0, b);
  dataset.Judge(1, b);
  const StepPlan plan = PlanStep(Inputs(dataset, {}, 2), 0);
  EXPECT_THAT(plan.passages, ElementsAre(0));
  EXPECT_THAT(plan.positives, ElementsAre(0, 0));
  EXPECT_THAT(plan.ignored, IsEmpty());
}

TEST(PlanStep, Rand1lhBringsOnlyThePassageThatItDrew) {
  FakeDataset dataset;
  dataset.Query("w1");
  for (int i = 0; i < 5; ++i) {
    dataset.Judge(0, dataset.Document("d" + std::to_string(i), "w" + std::to_string(i)));
  }
  ChoiceRules rules;
  rules.draw_one = true;
  const StepPlan plan = PlanStep(Inputs(dataset, rules, 1), 0);
  EXPECT_EQ(plan.passages.size(), 1);
  EXPECT_THAT(plan.positives, ElementsAre(0));
  EXPECT_THAT(plan.ignored, IsEmpty());
}

TEST(PlanStep, GradesWeighOnlyWhenAsked) {
  FakeDataset dataset;
  dataset.Query("w1", 0.25f);
  dataset.Judge(0, dataset.Document("a", "w1"), 3);
  dataset.Judge(0, dataset.Document("b", "w2"), 0.5f);
  PlanInputs inputs = Inputs(dataset, {}, 1);
  EXPECT_THAT(PlanStep(inputs, 0).positive_weights, IsEmpty());
  inputs.weigh = true;
  const StepPlan plan = PlanStep(inputs, 0);
  EXPECT_THAT(plan.positive_weights, ElementsAre(3, 0.5f));
  EXPECT_THAT(plan.row_weights, ElementsAre(0.25f));
  EXPECT_EQ(plan.total_weight, 0.25);
}

TEST(PlanStep, ALongEpochIsAPermutationAndTheNextOneAnother) {
  const auto dataset = RandomDataset(17, 200, 60);
  const PlanInputs inputs = Inputs(*dataset, {}, 16);
  const uint64_t steps = StepsPerEpoch(inputs.queries.size(), 16);
  ASSERT_NE(inputs.queries.size() % 16, 0) << "the last batch must be smaller";
  std::vector<uint32_t> orders[2];
  for (uint64_t step = 0; step < 2 * steps; ++step) {
    const StepPlan plan = PlanStep(inputs, step);
    EXPECT_EQ(plan.epoch, step / steps);
    EXPECT_EQ(plan.epoch_end, (step + 1) % steps == 0);
    EXPECT_EQ(plan.queries.size(), plan.epoch_end ? inputs.queries.size() % 16 : 16);
    orders[plan.epoch].insert(orders[plan.epoch].end(), plan.queries.begin(), plan.queries.end());
  }
  EXPECT_NE(orders[0], orders[1]);
  for (auto& order : orders) std::ranges::sort(order);
  EXPECT_EQ(orders[0], inputs.queries);
  EXPECT_EQ(orders[1], inputs.queries);
}

// Compares every pair of row and column with the definitions in docs/reference/losses.md, taken literally.
RC_GTEST_PROP(PlanStep, ClassifiesEveryPairAsDefined, ()) {
  const auto dataset = RandomDataset(*rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange<uint32_t>(1, 40),
                                     *rc::gen::inRange<uint32_t>(1, 40));
  ChoiceRules rules;
  rules.seed = *rc::gen::arbitrary<uint64_t>();
  rules.positives_per_query = *rc::gen::inRange<uint32_t>(0, 4);
  rules.negatives_per_query = *rc::gen::inRange<uint32_t>(0, 3);
  rules.min_grade = static_cast<float>(*rc::gen::inRange(0, 3));
  rules.draw_one = *rc::gen::arbitrary<bool>();
  rules.choose_positives = static_cast<muster::v1::Choose>(*rc::gen::inRange(0, 4));
  if (*rc::gen::arbitrary<bool>()) rules.sources = {false, true};
  const PlanInputs inputs = Inputs(*dataset, rules, *rc::gen::inRange<uint32_t>(1, 50));
  RC_PRE(!inputs.queries.empty());
  const StepPlan plan = PlanStep(inputs, *rc::gen::inRange<uint64_t>(0, 20));
  RC_ASSERT(std::set(plan.passages.begin(), plan.passages.end()).size() == plan.passages.size());
  double total = 0;
  std::set<uint32_t> brought;
  for (size_t row = 0; row < plan.queries.size(); ++row) {
    const uint32_t query = plan.queries[row];
    total += dataset->query_weight(query);
    const auto positive = Row(plan.positive_offsets, plan.positives, row);
    const auto ignored = Row(plan.ignored_offsets, plan.ignored, row);
    brought.insert(positive.begin(), positive.end());
    RC_ASSERT(!positive.empty());
    std::set<uint32_t> selectable;
    for (uint32_t column = 0; column < plan.passages.size(); ++column) {
      bool relevant = false;
      for (const Judgment& judgment : dataset->judgments(0, query)) {
        if (judgment.passage != plan.passages[column] || judgment.hard_negative != 0 || judgment.grade <= 0) continue;
        relevant = true;
        const bool source = rules.sources.empty() || rules.sources[judgment.source];
        if (source && judgment.grade >= rules.min_grade) selectable.insert(column);
      }
      const auto positives = std::ranges::count(positive, column), ignoreds = std::ranges::count(ignored, column);
      RC_ASSERT(positives + ignoreds == (relevant ? 1 : 0));
      RC_ASSERT(positives == 0 || selectable.contains(column));
      if (!relevant && std::ranges::any_of(dataset->judgments(0, query), [&](const Judgment& judgment) {
            return judgment.hard_negative != 0 && judgment.passage == plan.passages[column];
          })) {
        brought.insert(column);
      }
    }
    if (rules.draw_one) {
      RC_ASSERT(positive.size() == 1);
    } else if (rules.positives_per_query > 0) {
      RC_ASSERT(positive.size() <= rules.positives_per_query);
    }
  }
  RC_ASSERT(brought.size() == plan.passages.size());  // no column that no query brought
  RC_ASSERT(plan.total_weight == total);
}

}  // namespace
}  // namespace muster
