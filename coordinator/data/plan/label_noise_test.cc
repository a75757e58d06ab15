#include "coordinator/data/plan/label_noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "coordinator/data/plan/choose.h"
#include "coordinator/data/plan/negatives.h"
#include "coordinator/data/plan/plan_test_data.h"
#include "coordinator/data/plan/step_plan.h"
#include "coordinator/data/store/judgment_table.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

using muster::v1::NoiseSpec;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr uint64_t kDatasetSeed = 5;
constexpr uint32_t kQueries = 2000, kPassages = 20'000;

// Each query has 4 positives of grades 1 to 3 and two sources; queries with an even number have 3 hard negatives; each query
// has a positive and an ignored passage in the split "test" that "train" does not judge. Every tenth query has the text of the
// one before it. `reversed`: the judgments of each query in the opposite order.
std::shared_ptr<FakeDataset> JudgedDataset(bool reversed = false) {
  auto dataset = std::make_shared<FakeDataset>();
  CounterRandom random(kDatasetSeed);
  for (uint32_t i = 0; i < kPassages; ++i) dataset->DocumentOfPassage("", dataset->NewPassage("p" + std::to_string(i)));
  for (uint32_t query = 0; query < kQueries; ++query) {
    dataset->Query("query " + std::to_string(query % 10 == 9 ? query - 1 : query));
    std::vector<uint32_t> passages;
    while (passages.size() < 9) {
      const auto passage = static_cast<uint32_t>(random.Below(kPassages));
      if (std::ranges::find(passages, passage) == passages.end()) passages.push_back(passage);
    }
    std::vector<uint32_t> order = {0, 1, 2, 3, 4, 5, 6};
    if (reversed) std::ranges::reverse(order);
    for (const uint32_t i : order) {
      if (i < 4) dataset->Judge(query, passages[i], 1.0f + static_cast<float>(i % 3), static_cast<uint16_t>(i % 2));
      if (i >= 4 && query % 2 == 0) dataset->HardNegative(query, passages[i]);
    }
    dataset->Judge(query, passages[7], 1, 0, /*split=*/1);
    dataset->Ignore(query, passages[8], /*split=*/1);
  }
  return dataset;
}

muster::v1::DataSpec DataWith(const NoiseSpec& noise) {
  muster::v1::DataSpec data;
  data.set_split("train");
  *data.mutable_noise() = noise;
  return data;
}
NoiseSpec RandomPassages(double share) {
  NoiseSpec noise;
  noise.set_random_passages(share);
  return noise;
}
NoiseSpec HardNegatives(double share) {
  NoiseSpec noise;
  noise.set_hard_negatives(share);
  return noise;
}
NoiseSpec OtherPositives(double share) {
  NoiseSpec noise;
  noise.set_other_positives(share);
  return noise;
}
NoiseSpec Dropped(double share) {
  NoiseSpec noise;
  noise.set_dropped(share);
  return noise;
}
NoiseSpec EachKind() {
  NoiseSpec noise;
  noise.set_random_passages(0.1);
  noise.set_hard_negatives(0.15);
  noise.set_other_positives(0.2);
  noise.set_dropped(0.25);
  return noise;
}

bool AnyPositive(const Judgment& judgment) { return IsPositive(judgment); }

std::vector<uint32_t> PositivesOf(std::span<const Judgment> judgments) {
  std::vector<uint32_t> passages;
  for (const Judgment& judgment : judgments) {
    if (IsPositive(judgment)) passages.push_back(judgment.passage);
  }
  return passages;
}

// (query, passage) → what becomes of it.
std::map<std::pair<uint32_t, uint32_t>, std::pair<NoiseFate, uint32_t>> FatesOf(const Dataset& dataset, const NoiseSpec& spec) {
  const auto noise = LabelNoise::Make(dataset, DataWith(spec));
  std::map<std::pair<uint32_t, uint32_t>, std::pair<NoiseFate, uint32_t>> fates;
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    for (const NoiseDecision& d : noise->Decide(query, AnyPositive)) fates[{query, d.passage}] = {d.fate, d.replacement};
  }
  return fates;
}

// Five standard deviations of a binomial count.
void ExpectShare(const char* what, uint64_t count, double share, uint64_t of) {
  const double expected = share * static_cast<double>(of), deviation = std::sqrt(expected * (1 - share));
  std::printf("%s: %lu of %lu, %.1f expected, deviation %.1f, dataset's seed %lu\n", what, static_cast<unsigned long>(count),
              static_cast<unsigned long>(of), expected, deviation, static_cast<unsigned long>(kDatasetSeed));
  EXPECT_NEAR(static_cast<double>(count), expected, 5 * deviation) << what;
}

TEST(LabelNoise, EachShareIsThatAskedForOnAverage) {
  const auto dataset = JudgedDataset();
  const NoiseCounts counts = LabelNoise::Make(*dataset, DataWith(EachKind()))->Count(AnyPositive);
  EXPECT_EQ(counts.positives, 4 * kQueries);
  ExpectShare("random passages", counts.random_passages, 0.1, counts.positives);
  ExpectShare("hard negatives", counts.hard_negatives + counts.not_replaceable, 0.15, counts.positives);
  ExpectShare("hard negatives that exist", counts.not_replaceable, 0.5, counts.hard_negatives + counts.not_replaceable);
  ExpectShare("other positives", counts.other_positives, 0.2, counts.positives);
  ExpectShare("dropped", counts.dropped, 0.25, counts.positives);
  EXPECT_EQ(counts.no_longer_selectable, 0);
}

TEST(LabelNoise, WithoutAShareThereIsNone) {
  const FakeDataset dataset;
  EXPECT_EQ(LabelNoise::Make(dataset, DataWith({})), nullptr);
  NoiseSpec seed;
  seed.set_seed(3);
  seed.set_dropped(0);
  EXPECT_EQ(LabelNoise::Make(dataset, DataWith(seed)), nullptr);
}

// Whether any split judges the passage for a query with this text.
bool IsJudged(const Dataset& dataset, std::string_view text, uint32_t passage) {
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    if (dataset.query_text(query) != text) continue;
    for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
      for (const Judgment& judgment : dataset.judgments(split, query)) {
        if (judgment.passage == passage && judgment.hard_negative != kHardNegative) return true;
      }
    }
  }
  return false;
}

TEST(LabelNoise, WhatReplacesAPositiveIsNeverRelevantToAnyQueryOfItsText) {
  FakeDataset dataset;  // few passages, so that draws would often hit relevant ones
  for (uint32_t i = 0; i < 12; ++i) dataset.DocumentOfPassage("", dataset.NewPassage("p" + std::to_string(i)));
  for (uint32_t query = 0; query < 40; ++query) {
    dataset.Query(query % 2 == 0 ? "same  text" : query % 3 == 0 ? "same text" : "text " + std::to_string(query));
    for (uint32_t i = 0; i < 2; ++i) dataset.Judge(query, query % 2 == 0 ? i : (query + i) % 6);
    dataset.HardNegative(query, 6 + query % 3);
    dataset.Judge(query, 9, 1, 0, /*split=*/1);
    if (query % 4 == 0) dataset.Ignore(query, 10);
  }
  // "same  text" and "same text" are one in normal form.
  const auto normal = [&](uint32_t query) { return NormalizeText(dataset.query_text(query)); };
  uint64_t replaced = 0;
  for (const NoiseSpec& spec : {RandomPassages(0.9), HardNegatives(0.9), OtherPositives(0.9)}) {
    const auto noise = LabelNoise::Make(dataset, DataWith(spec));
    for (uint32_t query = 0; query < dataset.queries(); ++query) {
      const TrainingJudgments read = noise->Read(query, AnyPositive);
      const std::set<uint32_t> unique(read.injected.begin(), read.injected.end());
      EXPECT_EQ(unique.size(), read.injected.size()) << "no passage replaces two positives of a query";
      for (const uint32_t passage : read.injected) {
        for (uint32_t other = 0; other < dataset.queries(); ++other) {
          if (normal(other) != normal(query)) continue;
          EXPECT_FALSE(IsJudged(dataset, dataset.query_text(other), passage)) << query << " " << passage;
        }
        ++replaced;
      }
      EXPECT_EQ(PositivesOf(read.judgments).size(), 2);
    }
  }
  EXPECT_GT(replaced, 50);
}

TEST(LabelNoise, IsAPureFunctionOfTheJudgmentsWhateverTheirOrder) {
  const auto dataset = JudgedDataset(), reversed = JudgedDataset(/*reversed=*/true);
  const auto fates = FatesOf(*dataset, EachKind());
  EXPECT_EQ(fates, FatesOf(*dataset, EachKind()));
  EXPECT_EQ(fates, FatesOf(*reversed, EachKind()));
  NoiseSpec other = EachKind();
  other.set_seed(18);
  EXPECT_NE(fates, FatesOf(*dataset, other));
  other.set_seed(17);
  EXPECT_EQ(fates, FatesOf(*dataset, other)) << "the default seed";
}

TEST(LabelNoise, DoesNotDependOnTheJobsSeedOrSources) {
  const auto dataset = JudgedDataset();
  muster::v1::JobSpec spec = TestJob();
  *spec.mutable_data()->mutable_noise() = RandomPassages(0.3);
  const auto injected = [&](uint64_t seed, const std::vector<std::string>& sources) {
    spec.set_seed(seed);
    spec.mutable_data()->mutable_positives()->mutable_sources()->Assign(sources.begin(), sources.end());
    const ChoiceRules rules = MakeChoiceRules(*dataset, spec).value();
    std::vector<std::vector<uint32_t>> all;
    for (uint32_t query = 0; query < 100; ++query) all.push_back(ReadJudgments(*dataset, 0, query, rules).injected);
    return all;
  };
  EXPECT_EQ(injected(1, {}), injected(2, {}));
  EXPECT_EQ(injected(1, {}), injected(1, {"llm"})) << "the stages of a job see the same errors";
}

TEST(LabelNoise, ALargerShareDamagesTheSamePositivesAndMore) {
  const auto dataset = JudgedDataset();
  const auto damaged = [&](double share) {
    std::set<std::pair<uint32_t, uint32_t>> positives;
    for (const auto& [positive, fate] : FatesOf(*dataset, RandomPassages(share))) {
      if (fate.first == NoiseFate::kRandomPassage) positives.insert(positive);
    }
    return positives;
  };
  const auto few = damaged(0.1), many = damaged(0.3);
  EXPECT_TRUE(std::ranges::includes(many, few));
  EXPECT_GT(many.size(), 2 * few.size());
}

TEST(LabelNoise, AReplacementHasThePlaceTheSourceAndTheGradeOfThePositive) {
  const auto dataset = JudgedDataset();
  const auto noise = LabelNoise::Make(*dataset, DataWith(RandomPassages(0.5)));
  for (uint32_t query = 0; query < 100; ++query) {
    const auto before = dataset->judgments(0, query);
    const TrainingJudgments read = noise->Read(query, AnyPositive);
    ASSERT_EQ(read.judgments.size(), before.size());
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(read.judgments[i].source, before[i].source);
      EXPECT_EQ(read.judgments[i].grade, before[i].grade);
      EXPECT_EQ(read.judgments[i].passage != before[i].passage, read.IsInjected(read.judgments[i].passage));
    }
  }
}

TEST(LabelNoise, DroppingLeavesEachQueryOneOfThePositivesThatMayBeSelected) {
  const auto dataset = JudgedDataset(), reversed = JudgedDataset(/*reversed=*/true);
  muster::v1::DataSpec data = DataWith(Dropped(1));
  for (const char* source : {"", "human", "llm"}) {
    data.mutable_positives()->clear_sources();
    if (*source != '\0') data.mutable_positives()->add_sources(source);
    const ChoiceRules rules = PositiveRules(*dataset, data), of_reversed = PositiveRules(*reversed, data);
    EXPECT_EQ(SelectableQueries(*dataset, 0, rules).size(), kQueries);
    for (uint32_t query = 0; query < 100; ++query) {
      const std::vector<uint32_t> kept = PositivesOf(ReadJudgments(*dataset, 0, query, rules).judgments);
      EXPECT_EQ(kept.size(), 1) << "query " << query << " of " << source;
      EXPECT_EQ(kept, PositivesOf(ReadJudgments(*reversed, 0, query, of_reversed).judgments));
    }
  }
}

TEST(LabelNoise, AQueryWithReplacedPositivesMayLoseTheOthers) {
  FakeDataset dataset;
  for (uint32_t i = 0; i < 100; ++i) dataset.DocumentOfPassage("", dataset.NewPassage("p" + std::to_string(i)));
  for (uint32_t query = 0; query < 50; ++query) {
    dataset.Query("query " + std::to_string(query));
    dataset.Judge(query, query);
    dataset.Judge(query, query + 1);
  }
  NoiseSpec spec = RandomPassages(0.5);
  spec.set_dropped(0.5);
  const auto noise = LabelNoise::Make(dataset, DataWith(spec));
  for (uint32_t query = 0; query < 50; ++query) {
    const TrainingJudgments read = noise->Read(query, AnyPositive);
    EXPECT_GE(read.judgments.size(), 1u);
    EXPECT_EQ(read.judgments.size(), std::max<size_t>(1, read.injected.size())) << "a replacement is a positive";
  }
}

TEST(LabelNoise, ErrorsOfGradesAreNormalAndTheSelectionSeesThem) {
  const auto dataset = JudgedDataset();
  NoiseSpec spec;
  spec.set_blurred_grades(0.5);
  const auto noise = LabelNoise::Make(*dataset, DataWith(spec));
  double sum = 0, squares = 0;
  uint64_t beyond_two = 0;
  for (uint32_t query = 0; query < kQueries; ++query) {
    const auto before = dataset->judgments(0, query);
    const TrainingJudgments read = noise->Read(query, AnyPositive);
    ASSERT_EQ(read.judgments.size(), before.size());
    for (size_t i = 0; i < before.size(); ++i) {
      const double error = read.judgments[i].grade - before[i].grade;
      if (!IsPositive(before[i])) {
        EXPECT_EQ(error, 0);
        continue;
      }
      sum += error;
      squares += error * error;
      beyond_two += std::abs(error) > 1;
    }
  }
  constexpr double kCount = 4 * kQueries;
  EXPECT_NEAR(sum / kCount, 0, 5 * 0.5 / std::sqrt(kCount));
  EXPECT_NEAR(std::sqrt(squares / kCount), 0.5, 5 * 0.5 / std::sqrt(2 * kCount));
  ExpectShare("errors beyond two deviations", beyond_two, 0.0455, 4 * kQueries);

  muster::v1::DataSpec data = DataWith(spec);
  data.mutable_positives()->set_min_grade(2);
  const ChoiceRules rules = PositiveRules(*dataset, data);
  uint64_t selectable = 0;
  for (uint32_t query = 0; query < kQueries; ++query) {
    const TrainingJudgments read = ReadJudgments(*dataset, 0, query, rules);
    for (const auto& positive : JudgedPassages(read.judgments, rules).selectable) {
      EXPECT_GE(positive.grade, 2);
      ++selectable;
    }
  }
  EXPECT_NE(selectable, 2 * kQueries) << "two of each query's positives have a grade of 2 or 3";
  const NoiseCounts counts = rules.noise->Count([&](const Judgment& judgment) { return IsSelectable(judgment, rules); });
  EXPECT_EQ(counts.positives, 2 * kQueries);
  EXPECT_GT(counts.no_longer_selectable, 0);
}

TEST(LabelNoise, APassageThatTwoSourcesJudgedHasOneFateAndOneError) {
  FakeDataset dataset;
  for (uint32_t i = 0; i < 50; ++i) dataset.DocumentOfPassage("", dataset.NewPassage("p" + std::to_string(i)));
  for (uint32_t query = 0; query < 30; ++query) {
    dataset.Query("query " + std::to_string(query));
    dataset.Judge(query, query, 1, 0);
    dataset.Judge(query, query, 3, 1);
  }
  NoiseSpec spec = RandomPassages(0.5);
  spec.set_blurred_grades(0.1);
  const auto noise = LabelNoise::Make(dataset, DataWith(spec));
  for (uint32_t query = 0; query < 30; ++query) {
    const TrainingJudgments read = noise->Read(query, AnyPositive);
    ASSERT_EQ(read.judgments.size(), 2u);
    EXPECT_EQ(read.judgments[0].passage, read.judgments[1].passage);
    EXPECT_NEAR(read.judgments[1].grade - read.judgments[0].grade, 2, 1e-6);
  }
}

TEST(LabelNoise, AHardNegativeThatBecomesAPositiveIsNoNegative) {
  FakeDataset dataset;
  for (uint32_t i = 0; i < 4; ++i) dataset.DocumentOfPassage("", dataset.NewPassage("p" + std::to_string(i)));
  dataset.Query("first");
  dataset.Judge(0, 0);
  dataset.HardNegative(0, 1);
  dataset.Query("second");
  dataset.Judge(1, 2);
  const ChoiceRules rules = PositiveRules(dataset, DataWith(HardNegatives(1)));
  const TrainingJudgments read = ReadJudgments(dataset, 0, 0, rules);
  const PassagesOfQuery judged = JudgedPassages(read.judgments, rules);
  ASSERT_EQ(judged.selectable.size(), 1u);
  EXPECT_EQ(judged.selectable[0].passage, 1);
  EXPECT_THAT(judged.relevant, ElementsAre(1)) << "the true positive is unlabeled";
  EXPECT_THAT(judged.negatives, IsEmpty());
  EXPECT_THAT(PositivesOf(ReadJudgments(dataset, 0, 1, rules).judgments), ElementsAre(2)) << "it has no hard negative";
  const NoiseCounts counts = rules.noise->Count(AnyPositive);
  EXPECT_EQ(counts.hard_negatives, 1);
  EXPECT_EQ(counts.not_replaceable, 1);
  EXPECT_EQ(CountHardNegatives(dataset, 0, rules, {0, 1}), 0);
}

TEST(LabelNoise, ATeachersScoreStaysWithItsPassage) {
  FakeDataset dataset;
  for (uint32_t i = 0; i < 3; ++i) dataset.DocumentOfPassage("", dataset.NewPassage("p" + std::to_string(i)));
  dataset.Query("first");
  dataset.Judge(0, 0);
  dataset.Score(0, 7);
  dataset.HardNegative(0, 1);
  dataset.Score(0, -2);
  ChoiceRules rules = PositiveRules(dataset, DataWith(HardNegatives(1)));
  rules.distill = true;
  const TrainingJudgments read = ReadJudgments(dataset, 0, 0, rules);
  const PassagesOfQuery judged = JudgedPassages(read.judgments, rules, read.scores);
  EXPECT_EQ(judged.ScoreOf(0), std::nullopt) << "it is no longer a passage of the query";
  EXPECT_EQ(judged.ScoreOf(1), -2.0f);
}

TEST(PlanStep, NamesTheInjectedPositivesAndTreatsTheTrueOnesAsUnlabeled) {
  FakeDataset dataset;
  for (uint32_t i = 0; i < 6; ++i) dataset.DocumentOfPassage("", dataset.NewPassage("p" + std::to_string(i)));
  dataset.Query("first");
  dataset.Judge(0, 0);
  dataset.HardNegative(0, 1);
  dataset.Query("second");
  dataset.Judge(1, 0);  // a positive of both: without noise, neither query's negative
  dataset.Judge(1, 2);
  PlanInputs inputs;
  inputs.dataset = &dataset;
  inputs.batch = 2;
  inputs.rules = PositiveRules(dataset, DataWith(HardNegatives(1)));
  inputs.queries = SelectableQueries(dataset, 0, inputs.rules);
  inputs.identity = "identity";
  const StepPlan plan = PlanStep(inputs, 0);
  ASSERT_EQ(plan.queries.size(), 2u);
  const size_t first = plan.queries[0] == 0 ? 0 : 1;
  const uint32_t begin = plan.positive_offsets[first];
  ASSERT_EQ(plan.positive_offsets[first + 1], begin + 1);
  EXPECT_EQ(plan.passages[plan.positives[begin]], 1) << "the hard negative";
  EXPECT_TRUE(plan.has_noise);
  EXPECT_THAT(plan.noise_positives, ElementsAre(begin));
  EXPECT_THAT(plan.passages, UnorderedElementsAre(0, 1, 2)) << "the second query brings the first one's true positive";
  EXPECT_THAT(plan.ignored, IsEmpty()) << "which is a negative of the first one now";

  inputs.rules.noise = nullptr;
  const StepPlan clean = PlanStep(inputs, 0);
  EXPECT_FALSE(clean.has_noise);
  EXPECT_THAT(clean.noise_positives, IsEmpty());
  EXPECT_NE(clean.digest, plan.digest);
}

TEST(PlanStep, NoiseThatDamagesNothingOfAStepIsPartOfItsDigest) {
  const auto dataset = JudgedDataset();
  PlanInputs inputs;
  inputs.dataset = dataset.get();
  inputs.batch = 4;
  inputs.queries = {0, 1, 2, 3};
  const StepPlan clean = PlanStep(inputs, 0);
  inputs.rules.noise = LabelNoise::Make(*dataset, DataWith(RandomPassages(1e-9)));
  const StepPlan noisy = PlanStep(inputs, 0);
  EXPECT_EQ(noisy.passages, clean.passages);
  EXPECT_NE(noisy.digest, clean.digest);
}

TEST(ShareSource, SharesNameTheInjectedPositivesOfTheirOwnRows) {
  const auto dataset = RandomDataset(/*seed=*/3, /*queries=*/40, /*documents=*/200);
  muster::v1::JobSpec spec = TestJob(/*queries=*/9);
  *spec.mutable_data()->mutable_noise() = RandomPassages(0.5);
  const auto source = TestSource(dataset, spec).value();
  TrainingInputs inputs = TestInputs(*dataset, spec);
  const StepPlan plan = PlanStep(inputs, 0);
  ASSERT_FALSE(plan.noise_positives.empty());
  for (const uint32_t world_size : {1, 2, 4}) {
    std::vector<uint32_t> all;
    uint32_t before = 0;
    for (uint32_t rank = 0; rank < world_size; ++rank) {
      const auto share = source->Share(0, rank, world_size).value();
      EXPECT_TRUE(share.has_noise());
      for (const uint32_t positive : share.noise_positives()) {
        EXPECT_LT(positive, share.positives_size());
        all.push_back(before + positive);
      }
      before += static_cast<uint32_t>(share.positives_size());
    }
    EXPECT_EQ(all, plan.noise_positives) << world_size << " ranks";
  }
  spec.mutable_data()->clear_noise();
  EXPECT_FALSE(TestSource(dataset, spec).value()->Share(0, 0, 1)->has_noise());
}

}  // namespace
}  // namespace muster
