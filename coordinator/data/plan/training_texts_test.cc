#include "coordinator/data/plan/training_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/data/plan/testing/fake_dataset.h"

namespace muster {
namespace {

using QueryOfSet = TrainingTexts::QueryOfSet;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(TrainingTexts, OfOneDatasetHaveItsNumbers) {
  FakeDataset dataset;
  dataset.Judge(dataset.Query("w1"), dataset.Document("a", "w2"));
  const std::vector<TrainingTexts::Set> only = {{&dataset, 0}};
  for (const TrainingTexts& texts : {TrainingTexts::Of(dataset, 0), *TrainingTexts::Join(only)}) {
    EXPECT_EQ(texts.QueryNumber(0, 0), 0u);
    EXPECT_EQ(texts.PassageNumber(0, 0), 0u);
    EXPECT_EQ(texts.QueryDigest(0), dataset.query_digest(0));
    EXPECT_THAT(texts.SameQueries(0, 0), IsEmpty());
  }
}

TEST(TrainingTexts, APassageHasTheNumberOfTheFirstDatasetWithItsText) {
  FakeDataset first("first"), second("second"), third("third");
  for (const char* text : {"w1", "w2", "w3"}) first.Document("a", text);
  for (const char* text : {"w4", "  w2\n"}) second.Document("b", text);
  second.Document("c", "w1", "w9");  // another title
  for (const char* text : {"w4", "w3", "w5"}) third.Document("d", text);
  const auto texts = TrainingTexts::Join(std::vector<TrainingTexts::Set>{{&first, 0}, {&second, 0}, {&third, 0}});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(texts->PassageNumber(0, 2), 2u);
  EXPECT_EQ(texts->PassageNumber(1, 0), 3u);
  EXPECT_EQ(texts->PassageNumber(1, 1), 1u) << "equal but for white space";
  EXPECT_EQ(texts->PassageNumber(1, 2), 5u);
  EXPECT_EQ(texts->PassageNumber(2, 0), 3u);
  EXPECT_EQ(texts->PassageNumber(2, 1), 2u);
  EXPECT_EQ(texts->PassageNumber(2, 2), 8u);
  for (const uint32_t number : {0u, 2u, 3u, 5u, 8u}) {
    const auto [dataset, passage] = texts->PassagePlace(number);
    EXPECT_EQ(dataset, number < 3 ? 0u : number < 6 ? 1u : 2u);
    EXPECT_EQ(passage, number % 3);
  }
  EXPECT_EQ(texts->PassageDigest(1), texts->PassageDigest(texts->PassageNumber(1, 1)));
  EXPECT_NE(texts->PassageDigest(0), texts->PassageDigest(5));
}

TEST(TrainingTexts, SplitsOfADatasetShareItsNumbers) {
  FakeDataset dataset("one"), other("other");
  dataset.Query("w1");
  dataset.Query("w2");
  other.Query("w3");
  const uint32_t document = dataset.Document("a", "w4");
  dataset.Judge(0, document, 1, 0, /*split=*/0);
  dataset.Judge(0, document, 1, 0, /*split=*/1);
  const auto texts = TrainingTexts::Join(std::vector<TrainingTexts::Set>{{&dataset, 0}, {&other, 0}, {&dataset, 1}});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(texts->datasets(), (std::vector<const Dataset*>{&dataset, &other}));
  EXPECT_EQ(texts->QueryNumber(2, 1), 1u);
  EXPECT_EQ(texts->QueryNumber(1, 0), 2u);
  EXPECT_THAT(texts->SameQueries(0, 0), ElementsAre(QueryOfSet{2, 0}));
}

TEST(TrainingTexts, QueriesOfSeveralSetsAreJoinedByTheirNormalizedTexts) {
  FakeDataset first("first"), second("second");
  const uint32_t a = first.Document("a", "w1"), b = second.Document("b", "w2");
  for (const char* text : {"w5 w6", "w5 w6", "w7"}) first.Judge(first.Query(text), a);
  for (const char* text : {"w8", " w5  w6"}) second.Judge(second.Query(text), b);
  second.Query("w7");  // nothing is judged for it
  const auto texts = TrainingTexts::Join(std::vector<TrainingTexts::Set>{{&first, 0}, {&second, 0}});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_THAT(texts->SameQueries(0, 0), ElementsAre(QueryOfSet{1, 1})) << "not the first set's second query";
  EXPECT_THAT(texts->SameQueries(1, 1), ElementsAre(QueryOfSet{0, 0}, QueryOfSet{0, 1}));
  EXPECT_THAT(texts->SameQueries(0, 2), IsEmpty());
  EXPECT_THAT(texts->SameQueries(1, 0), IsEmpty());
}

}  // namespace
}  // namespace muster
