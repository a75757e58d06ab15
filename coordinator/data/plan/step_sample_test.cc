#include "coordinator/data/plan/step_sample.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "coordinator/data/plan/plan_test_data.h"

namespace muster {
namespace {

muster::v1::TrainingPreview Measure(const Dataset& dataset, const muster::v1::JobSpec& spec, const StepSample& sample) {
  const TrainingTexts all = TrainingTexts::Of(dataset, 0);
  const SampledTexts texts(all, sample);
  const auto tokens = TestTokens(texts);
  muster::v1::ModelSpec unlimited = spec.model();
  unlimited.mutable_max_length()->set_query(100000);
  unlimited.mutable_max_length()->set_passage(100000);
  muster::v1::TrainingPreview preview;
  MeasureSample(sample, *Sequences::Create(*tokens, spec.model(), {}), *Sequences::Create(*tokens, unlimited, {}), preview);
  return preview;
}

// The figures of a sample that holds every step are those of the shares that a rank gets.
TEST(StepSample, MeasuresWhatRanksWillRead) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto dataset = RandomDataset(seed, 30, 40);
    muster::v1::JobSpec spec = TestJob();
    spec.mutable_model()->mutable_prompts()->set_query("w1 w2 ");
    spec.mutable_data()->mutable_negatives()->set_per_query(2);
    const TrainingInputs inputs = TestInputs(*dataset, spec);
    const uint64_t steps = 2 * inputs.Order().steps();
    const StepSample sample = SampleSteps(JobPlan(inputs), steps, steps, 1 << 20);
    const auto preview = Measure(*dataset, spec, sample);
    const auto source = *TestSource(dataset, spec);
    double sequences = 0, tokens = 0, largest = 0, rows = 0, positives = 0, ignored = 0, negatives = 0;
    for (uint64_t step = 0; step < steps; ++step) {
      const auto share = *source->Share(step, 0, 1);
      double own = 0;
      for (const auto& micro : share.micro_batches()) {
        for (const uint32_t length : micro.lengths()) own += length;
      }
      sequences += share.query_count() + share.passage_count();
      tokens += own;
      largest = std::max(largest, own);
      rows += share.query_count();
      positives += share.positives_size();
      ignored += share.ignored_size();
      negatives += static_cast<double>(share.query_count()) * share.passage_count() - share.positives_size() - share.ignored_size();
    }
    EXPECT_EQ(preview.sampled_steps(), steps);
    EXPECT_DOUBLE_EQ(preview.sequences_per_step(), sequences / steps);
    EXPECT_DOUBLE_EQ(preview.tokens_per_step(), tokens / steps);
    EXPECT_DOUBLE_EQ(preview.largest_step_tokens(), largest);
    EXPECT_DOUBLE_EQ(preview.positives_per_query(), positives / rows);
    EXPECT_DOUBLE_EQ(preview.ignored_per_query(), ignored / rows);
    EXPECT_DOUBLE_EQ(preview.negatives_per_query(), negatives / rows);
  }
}

TEST(StepSample, CountsTextsThatTheJobsLengthsCut) {
  FakeDataset dataset;
  const uint32_t fits = dataset.Document("a", "w1 w2 w3"), cut = dataset.Document("b", "w4 w5 w6 w7");
  for (const uint32_t document : {fits, cut}) dataset.Judge(dataset.Query("w8 w9"), document);
  muster::v1::JobSpec spec = TestJob(2);
  spec.mutable_model()->mutable_max_length()->set_passage(5);  // [CLS], three words, [SEP]
  const StepSample sample = SampleSteps(JobPlan(TestInputs(dataset, spec)), 1, 16, 100);
  EXPECT_DOUBLE_EQ(Measure(dataset, spec, sample).truncated_share(), 0.25);
  spec.mutable_model()->mutable_prompts()->set_query("w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 ");  // 16: one more
  EXPECT_DOUBLE_EQ(Measure(dataset, spec, sample).truncated_share(), 0.75);
}

TEST(StepSample, TakesTheFirstAndTheLastStepAndNoMoreThanAsked) {
  const auto dataset = RandomDataset(3, 30, 40);
  const TrainingInputs inputs = TestInputs(*dataset, TestJob());
  const auto steps = [&](uint64_t total, size_t most, size_t texts) {
    std::vector<uint64_t> found;
    for (const StepPlan& plan : SampleSteps(JobPlan(inputs), total, most, texts).plans) found.push_back(plan.step);
    return found;
  };
  EXPECT_EQ(steps(1, 16, 1000), (std::vector<uint64_t>{0}));
  EXPECT_EQ(steps(3, 16, 1000), (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_EQ(steps(1'000'000'000'000, 3, 1000), (std::vector<uint64_t>{0, 499'999'999'999, 999'999'999'999}));
  EXPECT_EQ(steps(100, 16, 1), (std::vector<uint64_t>{0})) << "one step at least, whatever it holds";
}

}  // namespace
}  // namespace muster
