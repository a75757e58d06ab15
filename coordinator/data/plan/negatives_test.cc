#include "coordinator/data/plan/negatives.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "coordinator/data/plan/plan_test_data.h"
#include "coordinator/data/plan/step_plan.h"

namespace muster {
namespace {

using muster::v1::Choose;

bool MayHaveNegatives(const Dataset& dataset, const muster::v1::JobSpec& spec) {
  return muster::MayHaveNegatives(TestInputs(dataset, spec), 0, 0);
}

// Two queries with the same answer.
FakeDataset SameAnswer() {
  FakeDataset dataset;
  const uint32_t answer = dataset.Document("d0", "w1");
  for (const uint32_t query : {dataset.Query("w2"), dataset.Query("w3")}) dataset.Judge(query, answer);
  return dataset;
}

TEST(MayHaveNegatives, NotWhereAllThatIsBroughtIsRelevantToAll) {
  FakeDataset dataset = SameAnswer();
  EXPECT_FALSE(MayHaveNegatives(dataset, TestJob()));
  // Relevant to both, but selectable for only one.
  const uint32_t other = dataset.Document("d1", "w4");
  dataset.Judge(0, other, 2);
  dataset.Judge(1, other, 1);
  muster::v1::JobSpec spec = TestJob();
  spec.mutable_data()->mutable_positives()->set_min_grade(2);
  EXPECT_FALSE(MayHaveNegatives(dataset, spec));
  dataset.Judge(0, dataset.Document("d2", "w5"));
  EXPECT_TRUE(MayHaveNegatives(dataset, TestJob())) << "the second query's";
}

TEST(MayHaveNegatives, OfTheFirstQueryAloneCountsToo) {
  FakeDataset dataset = SameAnswer();
  dataset.Judge(1, dataset.Document("d1", "w4"));
  EXPECT_TRUE(MayHaveNegatives(dataset, TestJob()));
}

TEST(MayHaveNegatives, HardOnesCountWhereTheyAreUsed) {
  FakeDataset dataset = SameAnswer();
  dataset.HardNegative(1, dataset.Document("d1", "w4"));
  dataset.HardNegative(0, 0);  // a positive, too: never a negative
  muster::v1::JobSpec spec = TestJob();
  EXPECT_FALSE(MayHaveNegatives(dataset, spec));
  EXPECT_EQ(CountHardNegatives(dataset, 0, RulesOf(dataset, spec), {0, 1}), 1);
  spec.mutable_data()->mutable_negatives()->set_per_query(1);
  EXPECT_TRUE(MayHaveNegatives(dataset, spec));
  spec.mutable_batch()->set_queries(1);
  EXPECT_TRUE(MayHaveNegatives(dataset, spec)) << "a query brings its own";
}

TEST(MayHaveNegatives, NotInBatchesOfOneQueryWithoutHardOnes) {
  FakeDataset dataset;
  for (int i = 0; i < 3; ++i) {
    dataset.Judge(dataset.Query("w1"), dataset.Document("d" + std::to_string(i), "w" + std::to_string(i)));
  }
  EXPECT_TRUE(MayHaveNegatives(dataset, TestJob()));
  EXPECT_FALSE(MayHaveNegatives(dataset, TestJob(/*queries=*/1)));
}

TEST(MayHaveNegatives, ChoosingTheFirstNeverBringsTheOthers) {
  FakeDataset dataset = SameAnswer();
  dataset.Judge(1, dataset.Document("d1", "w4"));
  muster::v1::JobSpec spec = TestJob();
  spec.mutable_data()->mutable_positives()->set_per_query(1);
  EXPECT_TRUE(MayHaveNegatives(dataset, spec)) << "drawn in some epoch";
  spec.mutable_data()->mutable_positives()->set_choose(Choose::CHOOSE_FIRST);
  EXPECT_FALSE(MayHaveNegatives(dataset, spec));
}

// The law: false exactly where no step of many epochs has a row with a negative column.
RC_GTEST_PROP(MayHaveNegatives, AgreesWithThePlans, ()) {
  FakeDataset dataset;
  const auto passages = *rc::gen::inRange<uint32_t>(1, 4), queries = *rc::gen::inRange<uint32_t>(1, 4);
  for (uint32_t p = 0; p < passages; ++p) dataset.Document("d" + std::to_string(p), "w" + std::to_string(p));
  for (uint32_t q = 0; q < queries; ++q) {
    dataset.Query("w9");
    for (uint32_t p = 0; p < passages; ++p) {
      const auto kind = *rc::gen::inRange(0, 8);
      if (kind < 6) dataset.Judge(q, p, static_cast<float>(1 + kind % 2));
      if (kind == 6) dataset.HardNegative(q, p);
    }
  }
  muster::v1::JobSpec spec = TestJob(*rc::gen::inRange<uint32_t>(1, 4));
  spec.mutable_data()->mutable_positives()->set_per_query(*rc::gen::inRange<uint32_t>(0, 3));
  spec.mutable_data()->mutable_positives()->set_choose(
      *rc::gen::element(Choose::CHOOSE_FIRST, Choose::CHOOSE_TOP_GRADED, Choose::CHOOSE_RANDOM, Choose::CHOOSE_ROTATE));
  spec.mutable_data()->mutable_negatives()->set_per_query(*rc::gen::inRange<uint32_t>(0, 2));
  if (*rc::gen::arbitrary<bool>()) spec.mutable_data()->mutable_positives()->set_min_grade(2);
  if (*rc::gen::arbitrary<bool>()) spec.mutable_loss()->set_objective(muster::v1::OBJECTIVE_RAND1LH);
  const TrainingInputs inputs = TestInputs(dataset, spec);
  RC_PRE(inputs.DrawsPerEpoch() > 0);
  bool seen = false;
  const uint64_t steps = 300 * inputs.Order().steps();
  for (uint64_t step = 0; step < steps && !seen; ++step) {
    const StepPlan plan = PlanStep(inputs, step);
    for (size_t row = 0; row < plan.queries.size(); ++row) {
      const size_t edges = plan.positive_offsets[row + 1] - plan.positive_offsets[row] + plan.ignored_offsets[row + 1] -
                           plan.ignored_offsets[row];
      seen |= edges < plan.passages.size();
    }
  }
  RC_ASSERT(seen == muster::MayHaveNegatives(inputs, 0, 0));
}

}  // namespace
}  // namespace muster
