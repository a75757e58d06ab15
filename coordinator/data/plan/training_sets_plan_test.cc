// The laws of data.sets, from the datasets to the shares that ranks read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "common/deterministic_bytes.h"
#include "common/sample_ledger.h"
#include "common/spec/training_sets.h"
#include "coordinator/data/plan/job_plan.h"
#include "coordinator/data/plan/negatives.h"
#include "coordinator/data/plan/plan_test_data.h"

namespace muster {
namespace {

using muster::internal::v1::StepShare;
using muster::v1::JobSpec;
using muster::v1::ResolvedJob;
using Datasets = std::vector<std::shared_ptr<const Dataset>>;

JobSpec SetsJob(const std::vector<double>& weights, uint32_t queries = 4) {
  JobSpec spec = TestJob(queries);
  spec.mutable_data()->clear_train();
  spec.mutable_data()->clear_split();
  for (const double weight : weights) {
    auto& set = *spec.mutable_data()->add_sets();
    set.set_dataset("d" + std::to_string(spec.data().sets_size()));
    set.set_split("train");
    set.set_weight(weight);
  }
  return spec;
}

std::vector<const Dataset*> PointersOf(const Datasets& datasets) {
  std::vector<const Dataset*> pointers;
  for (const auto& dataset : datasets) pointers.push_back(dataset.get());
  return pointers;
}

std::shared_ptr<const TrainingTexts> TextsOf(const Datasets& datasets, const JobSpec& spec) {
  return std::make_shared<const TrainingTexts>(*JoinTrainingSets(PointersOf(datasets), spec.data()));
}

ResolvedJob ResolveSets(const Datasets& datasets, const JobSpec& spec) {
  const TrainingInputs inputs = *MakeTrainingInputs(TextsOf(datasets, spec), spec);
  ResolvedJob resolved;
  for (const auto& dataset : datasets) resolved.add_train_datasets(dataset->digest());
  resolved.set_train_queries(inputs.DrawsPerEpoch());
  resolved.set_steps_per_epoch(inputs.DrawsPerEpoch() == 0 ? 0 : inputs.Order().steps());
  return resolved;
}

using Tokens = std::vector<std::shared_ptr<const TokenStore>>;
Tokens TokensOf(const Datasets& datasets) {
  Tokens tokens;
  for (const auto& dataset : datasets) tokens.push_back(TestTokens(*dataset));
  return tokens;
}

std::shared_ptr<ShareSource> SourceOf(const Datasets& datasets, const JobSpec& spec, const Tokens& tokens) {
  const auto source = ShareSource::Create({datasets, tokens, spec, ResolveSets(datasets, spec)});
  EXPECT_TRUE(source.ok()) << source.status();
  return *source;
}
std::shared_ptr<ShareSource> SourceOf(const Datasets& datasets, const JobSpec& spec) {
  return SourceOf(datasets, spec, TokensOf(datasets));
}

std::shared_ptr<const Dataset> Random(uint64_t seed, const std::string& name, uint32_t queries, uint32_t documents) {
  return RandomDataset(seed, queries, documents, std::make_shared<FakeDataset>(name));
}

// Small random sets, with weights, and a job that trains on them.
struct Case {
  Datasets datasets;
  JobSpec spec;
  uint64_t steps = 0;  // per epoch
};
Case DrawCase() {
  Case drawn;
  std::vector<double> weights;
  const int sets = *rc::gen::inRange(2, 5);
  for (int i = 0; i < sets; ++i) {
    weights.push_back(*rc::gen::inRange(1, 300) / 100.0);
    const auto queries = *rc::gen::inRange<uint32_t>(1, 20);
    drawn.datasets.push_back(Random(*rc::gen::arbitrary<uint64_t>(), std::to_string(i), queries, 20));
  }
  drawn.spec = SetsJob(weights, *rc::gen::inRange<uint32_t>(1, 9));
  drawn.spec.set_seed(*rc::gen::arbitrary<uint64_t>());
  drawn.spec.mutable_data()->set_homogeneous_batches(*rc::gen::arbitrary<bool>());
  drawn.spec.mutable_data()->mutable_negatives()->set_per_query(*rc::gen::inRange<uint32_t>(0, 3));
  const ResolvedJob resolved = ResolveSets(drawn.datasets, drawn.spec);
  RC_PRE(resolved.train_queries() > 0);
  drawn.steps = resolved.steps_per_epoch();
  return drawn;
}

// The rows of all ranks, in their order: digest, positives, ignored.
struct Rows {
  std::vector<uint64_t> queries;
  std::vector<std::vector<uint32_t>> positives, ignored;
  uint64_t digest = 0;
  bool operator==(const Rows&) const = default;
};
Rows RowsOf(ShareSource& source, uint64_t step, uint32_t world_size) {
  Rows rows;
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    const StepShare share = *source.Share(step, rank, world_size);
    rows.queries.insert(rows.queries.end(), share.query_digests().begin(), share.query_digests().end());
    rows.digest = share.plan_digest();
    for (int row = 0; row < share.query_digests_size(); ++row) {
      rows.positives.emplace_back(share.positives().begin() + share.positive_offsets(row),
                                  share.positives().begin() + share.positive_offsets(row + 1));
      rows.ignored.emplace_back(share.ignored().begin() + share.ignored_offsets(row),
                                share.ignored().begin() + share.ignored_offsets(row + 1));
    }
  }
  return rows;
}

TEST(TrainingSets, OneSetOfWeightOneIsDataTrainToTheByte) {
  const auto dataset = RandomDataset(17, 40, 30);
  JobSpec train = TestJob(), sets = SetsJob({1});
  for (JobSpec* spec : {&train, &sets}) {
    spec->mutable_data()->mutable_negatives()->set_per_query(2);
    spec->mutable_data()->mutable_positives()->set_choose(muster::v1::CHOOSE_ROTATE);
  }
  for (const bool homogeneous : {false, true}) {
    sets.mutable_data()->set_homogeneous_batches(homogeneous);
    const auto one = *TestSource(dataset, train), other = SourceOf({dataset}, sets);
    for (uint64_t step = 0; step < 25; ++step) {
      for (uint32_t rank = 0; rank < 2; ++rank) {
        EXPECT_EQ(DeterministicBytes(*one->Share(step, rank, 2)), DeterministicBytes(*other->Share(step, rank, 2))) << step;
      }
    }
  }
}

RC_GTEST_PROP(TrainingSets, HaveTheSameRowsOnAnyNumberOfRanksWhereverTheyAreResumed, ()) {
  const Case drawn = DrawCase();
  const Tokens tokens = TokensOf(drawn.datasets);
  const auto source = SourceOf(drawn.datasets, drawn.spec, tokens), resumed = SourceOf(drawn.datasets, drawn.spec, tokens);
  const auto step = *rc::gen::inRange<uint64_t>(0, 3 * drawn.steps);
  const Rows one = RowsOf(*source, step, 1);
  for (const uint32_t world_size : {2u, 3u, 4u}) {
    RC_ASSERT(RowsOf(*source, step, world_size) == one);
    RC_ASSERT(RowsOf(*resumed, step, world_size) == one);
  }
}

// An epoch has every query as often as its set's weight says, and the sample ledger agrees.
RC_GTEST_PROP(TrainingSets, AnEpochHasEveryQueryAsOftenAsItsWeightSays, ()) {
  const Case drawn = DrawCase();
  const auto source = SourceOf(drawn.datasets, drawn.spec);
  const auto epoch = *rc::gen::inRange<uint64_t>(0, 4);
  std::map<uint64_t, uint64_t> counts;
  QuerySum applied, expected;
  for (uint64_t step = epoch * drawn.steps; step < (epoch + 1) * drawn.steps; ++step) {
    const StepShare share = *source->Share(step, 0, 1);
    RC_ASSERT(share.epoch() == epoch);
    for (const uint64_t digest : share.query_digests()) {
      ++counts[digest];
      applied.Add(digest);
    }
    RC_ASSERT(share.epoch_end() == (step + 1 == (epoch + 1) * drawn.steps));
    if (share.epoch_end()) expected = {share.epoch_queries(), share.epoch_query_sum()};
  }
  RC_ASSERT(JudgeEpoch(applied, expected) == (LedgerVerdict{applied.queries, 0, 0}));
  const TrainingInputs inputs = *MakeTrainingInputs(TextsOf(drawn.datasets, drawn.spec), drawn.spec);
  uint64_t total = 0;
  for (size_t set = 0; set < inputs.sets.size(); ++set) {
    const double weight = drawn.spec.data().sets(static_cast<int>(set)).weight();
    const size_t queries = inputs.sets[set].queries.size();
    uint64_t of_set = 0;
    for (const uint32_t query : inputs.sets[set].queries) {
      const uint64_t count = counts[drawn.datasets[set]->query_digest(query)];
      RC_ASSERT(count == static_cast<uint64_t>(weight) || count == static_cast<uint64_t>(weight) + 1);
      of_set += count;
    }
    const double rest = weight - std::floor(weight);
    RC_ASSERT(of_set == static_cast<uint64_t>(weight) * queries + std::llround(rest * static_cast<double>(queries)));
    total += of_set;
  }
  RC_ASSERT(total == applied.queries);
}

RC_GTEST_PROP(TrainingSets, AHomogeneousStepHasTheQueriesOfTheSetThatItNames, ()) {
  Case drawn = DrawCase();
  drawn.spec.mutable_data()->set_homogeneous_batches(true);
  const TrainingInputs inputs = *MakeTrainingInputs(TextsOf(drawn.datasets, drawn.spec), drawn.spec);
  std::map<uint32_t, uint64_t> steps, queries;
  for (uint64_t step = 0; step < inputs.Order().steps(); ++step) {
    const StepPlan plan = PlanStep(inputs, step);
    for (const uint32_t query : plan.queries) RC_ASSERT(inputs.texts->QueryPlace(query).dataset == plan.training_set);
    ++steps[plan.training_set];
    queries[plan.training_set] += plan.queries.size();
  }
  for (const auto& [set, of_set] : steps) RC_ASSERT(of_set == StepsPerEpoch(queries[set], drawn.spec.batch().queries()));
}

// One query text and one passage text are in two datasets, under other ids.
class SharedTexts : public testing::Test {
 protected:
  SharedTexts() {
    const uint32_t a = first_->Document("a", "w1"), b = second_->Document("b", "w2"), again = second_->Document("c", "w1");
    first_->Judge(first_->QueryWithId("q", "w5 w6"), a);
    second_->Judge(second_->QueryWithId("r", "w5  w6"), b);
    second_->Judge(second_->QueryWithId("s", "w7"), again);
  }
  StepPlan Plan(const JobSpec& spec) {
    const TrainingInputs inputs = *MakeTrainingInputs(TextsOf({first_, second_}, spec), spec);
    return PlanStep(inputs, 0);
  }
  // The passage numbers of a row's edges.
  static std::vector<uint32_t> Passages(const StepPlan& plan, const std::vector<uint32_t>& offsets,
                                        const std::vector<uint32_t>& columns, uint32_t query) {
    const size_t row = std::ranges::find(plan.queries, query) - plan.queries.begin();
    std::vector<uint32_t> passages;
    for (uint32_t i = offsets[row]; i < offsets[row + 1]; ++i) passages.push_back(plan.passages[columns[i]]);
    return passages;
  }
  std::shared_ptr<FakeDataset> first_ = std::make_shared<FakeDataset>("first");
  std::shared_ptr<FakeDataset> second_ = std::make_shared<FakeDataset>("second");
};

TEST_F(SharedTexts, WhatOneSetJudgesForAQuerysTextIsNoNegativeInAnother) {
  const StepPlan plan = Plan(SetsJob({1, 1}));
  ASSERT_EQ(plan.queries.size(), 3u);
  EXPECT_EQ(std::set<uint32_t>(plan.passages.begin(), plan.passages.end()), (std::set<uint32_t>{0, 1}))
      << "w1 of the first dataset, and w2: w1 of both is one passage";
  using testing::ElementsAre;
  using testing::IsEmpty;
  const auto positives = [&](uint32_t query) { return Passages(plan, plan.positive_offsets, plan.positives, query); };
  const auto ignored = [&](uint32_t query) { return Passages(plan, plan.ignored_offsets, plan.ignored, query); };
  EXPECT_THAT(positives(0), ElementsAre(0));
  EXPECT_THAT(ignored(0), ElementsAre(1)) << "the second set's positive of the same text";
  EXPECT_THAT(positives(1), ElementsAre(1));
  EXPECT_THAT(ignored(1), ElementsAre(0));
  EXPECT_THAT(positives(2), ElementsAre(0));
  EXPECT_THAT(ignored(2), IsEmpty()) << "w2 is a negative of w7";
}

TEST_F(SharedTexts, AHardNegativeThatAnotherSetJudgesRelevantIsNotBrought) {
  first_->HardNegative(0, first_->Document("d", "w2"));
  first_->HardNegative(0, first_->Document("e", "w3"));
  JobSpec spec = SetsJob({1, 1});
  spec.mutable_data()->mutable_negatives()->set_per_query(4);
  spec.mutable_data()->set_homogeneous_batches(true);
  const TrainingInputs inputs = *MakeTrainingInputs(TextsOf({first_, second_}, spec), spec);
  for (uint64_t step = 0; step < inputs.Order().steps(); ++step) {
    const StepPlan plan = PlanStep(inputs, step);
    if (plan.training_set != 0) continue;
    EXPECT_EQ(std::ranges::count(plan.passages, 2u), 1) << "w3";
    EXPECT_EQ(std::ranges::count(plan.passages, 1u), 0) << "w2";
  }
}

TEST_F(SharedTexts, TwoSplitsOfADatasetAreTwoSets) {
  const uint32_t third = first_->Document("f", "w9");
  first_->Judge(0, third, 1, 0, /*split=*/1);
  JobSpec spec = SetsJob({1, 1});
  spec.mutable_data()->mutable_sets(1)->set_split("test");
  const Datasets datasets = {first_, first_};
  const auto source = SourceOf(datasets, spec);
  const StepShare share = *source->Share(0, 0, 1);
  EXPECT_EQ(share.query_digests_size(), 2);
  EXPECT_EQ(share.query_digests(0), share.query_digests(1));
  EXPECT_EQ(share.positives_size(), 2);
  EXPECT_EQ(share.ignored_size(), 2) << "each row ignores the other split's positive";
}

// The two draws of a query in one epoch are two turns: they bring different positives, which are no negatives of each other.
TEST(TrainingSets, ARepeatedQueryBringsItsNextPositives) {
  auto dataset = std::make_shared<FakeDataset>("d");
  for (const char* query : {"w1", "w2"}) {
    const uint32_t number = dataset->Query(query);
    for (const char* text : {"w10", "w11"}) dataset->Judge(number, dataset->Document(text, std::string(query) + " " + text));
  }
  JobSpec spec = SetsJob({2});
  spec.mutable_data()->mutable_positives()->set_per_query(1);
  spec.mutable_data()->mutable_positives()->set_choose(muster::v1::CHOOSE_ROTATE);
  const TrainingInputs inputs = *MakeTrainingInputs(TextsOf({dataset}, spec), spec);
  for (uint64_t step = 0; step < 3; ++step) {
    const StepPlan plan = PlanStep(inputs, step);
    EXPECT_EQ(plan.epoch, step);
    ASSERT_EQ(plan.queries.size(), 4u);
    EXPECT_EQ(plan.passages.size(), 4u);
    EXPECT_EQ(plan.positives.size(), 4u);
    EXPECT_EQ(plan.ignored.size(), 4u);
  }
}

TEST(TrainingSets, AStageTrainsOnTheSetsThatHaveItsSources) {
  auto human = std::make_shared<FakeDataset>("human"), llm = std::make_shared<FakeDataset>("llm");
  for (int i = 0; i < 3; ++i) {
    const std::string text = "w" + std::to_string(i);
    human->Judge(human->Query("w8 " + text), human->Document(text, text));
    llm->Judge(llm->Query("w9 " + text), llm->Document(text, text), 1, /*source=*/1);
  }
  JobSpec spec = SetsJob({1, 1});
  spec.add_stages()->add_sources("llm");
  spec.mutable_stages(0)->set_epochs(1);
  spec.add_stages()->set_epochs(1);
  ResolvedJob resolved;
  for (const uint64_t queries : {3, 6}) {
    auto& stage = *resolved.add_stages();
    stage.set_train_queries(queries);
    stage.set_steps_per_epoch((queries + 3) / 4);
    stage.set_steps(stage.steps_per_epoch());
  }
  const auto plan = MakeJobPlan({human.get(), llm.get()}, spec, resolved);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const StepPlan first = PlanStep(*plan, 0);
  EXPECT_EQ(std::set<uint32_t>(first.queries.begin(), first.queries.end()), (std::set<uint32_t>{3, 4, 5}));
  EXPECT_EQ(PlanStep(*plan, 1).queries.size() + PlanStep(*plan, 2).queries.size(), 6u);
  spec.mutable_stages(0)->set_sources(0, "clicks");
  EXPECT_EQ(MakeJobPlan({human.get(), llm.get()}, spec, resolved).status().message(),
            "stages[0]: data.positives.sources: no dataset has a judgment of \"clicks\". They have: human, llm.");
}

// The noise damages each set's judgments as it would in a job with that set alone.
TEST(TrainingSets, NoiseIsOfEachSetByItself) {
  const Datasets datasets = {Random(3, "first", 40, 60), Random(4, "second", 30, 60)};
  JobSpec spec = SetsJob({1, 1}, 16);
  spec.mutable_data()->mutable_noise()->set_random_passages(0.4);
  const TrainingInputs inputs = *MakeTrainingInputs(TextsOf(datasets, spec), spec);
  size_t injected = 0, positives = 0;
  for (uint32_t set = 0; set < 2; ++set) {
    JobSpec alone = spec;
    *alone.mutable_data() = DataOfTrainingSet(spec.data(), set);
    const TrainingInputs own = TestInputs(*datasets[set], alone);
    EXPECT_EQ(own.sets[0].queries, inputs.sets[set].queries);
    for (const uint32_t query : own.sets[0].queries) {
      const QueryPassages one = ReadPassages(own, 0, query, false), all = ReadPassages(inputs, set, query, false);
      ASSERT_EQ(one.judged.selectable.size(), all.judged.selectable.size());
      EXPECT_EQ(one.injected.size(), all.injected.size());
      for (size_t i = 0; i < one.judged.selectable.size(); ++i) {
        const uint32_t passage = one.judged.selectable[i].passage, number = all.judged.selectable[i].passage;
        EXPECT_EQ(number, inputs.texts->PassageNumber(set, passage));
        EXPECT_EQ(one.IsInjected(passage), all.IsInjected(number));
      }
      positives += one.judged.selectable.size();
      injected += one.injected.size();
    }
  }
  EXPECT_GT(injected, positives / 5);
  size_t planned = 0;
  for (uint64_t step = 0; step < inputs.Order().steps(); ++step) {
    const StepPlan plan = PlanStep(inputs, step);
    EXPECT_TRUE(plan.has_noise);
    planned += plan.noise_positives.size();
  }
  EXPECT_GT(planned, 0u);
}

TEST(TrainingSets, ABatchOfSeveralSetsHasNegativesWhereTheSetsAloneHaveNone) {
  auto first = std::make_shared<FakeDataset>("first"), second = std::make_shared<FakeDataset>("second");
  for (const auto& dataset : {first, second}) {
    const uint32_t answer = dataset->Document("a", dataset == first ? "w1" : "w2");
    for (const char* query : {"w3", "w4"}) dataset->Judge(dataset->Query(query + std::to_string(dataset == first)), answer);
  }
  const JobSpec spec = SetsJob({1, 1});
  const TrainingInputs inputs = *MakeTrainingInputs(TextsOf({first, second}, spec), spec);
  EXPECT_TRUE(MayHaveNegatives(inputs, 0, 1));
  EXPECT_FALSE(MayHaveNegatives(inputs, 0, 0));
  EXPECT_FALSE(MayHaveNegatives(inputs, 1, 1));
}

TEST(TrainingSets, AJobThatWasResolvedWithOtherSetsIsRefused) {
  const auto dataset = RandomDataset(17, 20, 20);
  EXPECT_EQ(MakeJobPlan({dataset.get()}, SetsJob({1, 1}), {}).status().message(),
            "the job has 2 training sets, but was resolved with 1. Submit it again.");
}

}  // namespace
}  // namespace muster
