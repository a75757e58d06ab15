#include "coordinator/data/plan/choose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "coordinator/data/plan/testing/fake_dataset.h"

namespace muster {
namespace {

using muster::v1::CHOOSE_FIRST;
using muster::v1::CHOOSE_ROTATE;
using muster::v1::CHOOSE_TOP_GRADED;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

std::vector<uint32_t> Passages(const std::vector<PassagesOfQuery::Positive>& positives) {
  std::vector<uint32_t> passages;
  for (const auto& positive : positives) passages.push_back(positive.passage);
  return passages;
}

Judgment Positive(uint32_t passage, float grade = 1, uint16_t source = 0) {
  return {passage, passage, grade, source, 0};
}
Judgment HardNegative(uint32_t passage) { return {passage, passage, 0, 0, 1}; }

TEST(JudgedPassages, KeepsTheOrderOfTheFilesAndMergesEqualTexts) {
  const Judgment judgments[] = {Positive(9, 1), Positive(3, 2), Positive(9, 3), HardNegative(5), HardNegative(3)};
  const PassagesOfQuery judged = JudgedPassages(judgments, {});
  EXPECT_THAT(Passages(judged.selectable), ElementsAre(9, 3));
  EXPECT_EQ(judged.selectable[0].grade, 3);
  EXPECT_THAT(judged.relevant, ElementsAre(9, 3));
  EXPECT_THAT(judged.negatives, ElementsAre(5)) << "3 is relevant, so no negative";
}

TEST(JudgedPassages, RelevantButNotSelectableIsNeverANegative) {
  ChoiceRules rules;
  rules.min_grade = 2;
  rules.sources = {false, true};
  const Judgment judgments[] = {Positive(1, 3, 0), Positive(2, 1, 1), Positive(3, 2, 1), Positive(4, 0, 1),
                                HardNegative(1),   HardNegative(2),   HardNegative(4)};
  const PassagesOfQuery judged = JudgedPassages(judgments, rules);
  EXPECT_THAT(Passages(judged.selectable), ElementsAre(3));
  EXPECT_THAT(judged.relevant, ElementsAre(1, 2, 3));
  EXPECT_THAT(judged.negatives, ElementsAre(4)) << "judged not relevant";
}

std::vector<Judgment> Five() {
  return {Positive(0, 1), Positive(1, 3), Positive(2, 2), Positive(3, 3), Positive(4, 1)};
}

TEST(JudgedPassages, WhatIsIgnoredIsMaskedAndNeitherDrawnNorANegative) {
  const Judgment judgments[] = {Positive(1, 1), {2, 2, 1, 0, kIgnored}, HardNegative(3), {3, 3, 1, 0, kIgnored}};
  const PassagesOfQuery judged = JudgedPassages(judgments, {});
  ASSERT_EQ(judged.selectable.size(), 1u);
  EXPECT_EQ(judged.selectable[0].passage, 1u);
  EXPECT_THAT(judged.relevant, ElementsAre(1, 2, 3)) << "what is in here never counts as a negative";
  EXPECT_THAT(judged.negatives, ElementsAre());
}

TEST(ChoosePassages, FirstAndTopGraded) {
  ChoiceRules rules;
  rules.positives_per_query = 2;
  rules.choose_positives = CHOOSE_FIRST;
  EXPECT_THAT(Passages(ChoosePassages(JudgedPassages(Five(), rules), rules, 0, 0).positives), ElementsAre(0, 1));
  rules.choose_positives = CHOOSE_TOP_GRADED;
  EXPECT_THAT(Passages(ChoosePassages(JudgedPassages(Five(), rules), rules, 0, 0).positives), ElementsAre(1, 3));
}

TEST(ChoosePassages, RotateMovesOnByItsWidthEachEpoch) {
  ChoiceRules rules;
  rules.positives_per_query = 2;
  rules.choose_positives = CHOOSE_ROTATE;
  const PassagesOfQuery judged = JudgedPassages(Five(), rules);
  EXPECT_THAT(Passages(ChoosePassages(judged, rules, 0, 0).positives), ElementsAre(0, 1));
  EXPECT_THAT(Passages(ChoosePassages(judged, rules, 1, 0).positives), ElementsAre(2, 3));
  EXPECT_THAT(Passages(ChoosePassages(judged, rules, 2, 0).positives), ElementsAre(0, 4));
}

TEST(ChoosePassages, ZeroPositivesMeansAllAndZeroNegativesMeansNone) {
  std::vector<Judgment> judgments = Five();
  judgments.push_back(HardNegative(7));
  const ChoiceRules rules;
  const Choice choice = ChoosePassages(JudgedPassages(judgments, rules), rules, 0, 0);
  EXPECT_THAT(choice.positives, SizeIs(5));
  EXPECT_THAT(choice.negatives, IsEmpty());
}

TEST(ChoosePassages, RandomDrawsEverySubsetAlikeOften) {
  ChoiceRules rules;
  rules.seed = 17;
  rules.positives_per_query = 2;
  const PassagesOfQuery judged = JudgedPassages(Five(), rules);
  std::map<std::vector<uint32_t>, int> count;
  constexpr int kDraws = 20000;
  for (int query = 0; query < kDraws; ++query) {
    ++count[Passages(ChoosePassages(judged, rules, 3, query).positives)];
  }
  EXPECT_THAT(count, SizeIs(10));
  for (const auto& [subset, n] : count) EXPECT_NEAR(n, kDraws / 10, 212);  // 5 standard deviations
}

TEST(ChoosePassages, Rand1lhDrawsOneWhateverTheGradesAndTheChoice) {
  ChoiceRules rules;
  rules.seed = 17;
  rules.draw_one = true;
  rules.positives_per_query = 4;
  rules.choose_positives = CHOOSE_TOP_GRADED;
  const PassagesOfQuery judged = JudgedPassages(Five(), rules);
  std::map<uint32_t, int> count;
  constexpr int kDraws = 20000;
  for (int epoch = 0; epoch < kDraws; ++epoch) {
    const Choice choice = ChoosePassages(judged, rules, epoch, 1);
    ASSERT_THAT(choice.positives, SizeIs(1));
    ++count[choice.positives[0].passage];
  }
  EXPECT_THAT(count, SizeIs(5));
  for (const auto& [passage, n] : count) EXPECT_NEAR(n, kDraws / 5, 283);
}

TEST(MakeChoiceRules, NamesTheExistingSources) {
  muster::v1::JobSpec spec;
  spec.mutable_data()->mutable_positives()->add_sources("lmm");
  const auto rules = MakeChoiceRules(FakeDataset(), spec);
  EXPECT_EQ(rules.status().message(),
            "data.positives.sources: the dataset has no judgment of \"lmm\". It has: human, llm.");
}

TEST(JudgedPassages, APassagesScoreIsTheFirstThatATeacherGave) {
  const std::vector<Judgment> judgments = {{.document = 0, .passage = 5},
                                           {.document = 1, .passage = 2, .hard_negative = kHardNegative},
                                           {.document = 2, .passage = 5},
                                           {.document = 3, .passage = 5},
                                           {.document = 4, .passage = 9}};
  const std::vector<float> scores = {kNoScore, -1, 4, 6, kNoScore};
  const PassagesOfQuery judged = JudgedPassages(judgments, {}, scores);
  EXPECT_EQ(judged.ScoreOf(5), 4);
  EXPECT_EQ(judged.ScoreOf(2), -1);
  EXPECT_EQ(judged.ScoreOf(9), std::nullopt);
  EXPECT_EQ(judged.ScoreOf(1), std::nullopt);
  EXPECT_TRUE(JudgedPassages(judgments, {}).scored.empty());
}

}  // namespace
}  // namespace muster
