#include "coordinator/data/plan/evaluation_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "coordinator/data/plan/plan_test_data.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;
using muster::internal::v1::MicroBatch;
using muster::internal::v1::StreamEvaluationResponse;
using testing::ElementsAre;

struct RankPart {
  EvaluationHeader header;
  std::vector<MicroBatch> batches;
};
std::shared_ptr<const EvaluationSource> SourceOf(const Dataset& dataset, uint32_t split,
                                                 std::shared_ptr<const TokenStore> tokens, uint32_t world_size) {
  return EvaluationSource::Create(
             {.dataset = std::shared_ptr<const Dataset>(std::shared_ptr<void>(), &dataset),
              .numbering = std::make_shared<const DocumentNumbering>(NumberDocuments(dataset)),
              .tokens = std::move(tokens),
              .split = split,
              .spec = TestJob(),
              .world_size = world_size})
      .value();
}

RankPart PartOf(const EvaluationSource& source, uint32_t rank, bool pair_identical_ids = false) {
  RankPart part;
  bool has_header = false;
  const absl::Status status = source.Stream(rank, pair_identical_ids, [&](const auto& response) {
    EXPECT_EQ(response.has_header(), !has_header);
    if (response.has_header()) part.header = response.header();
    if (response.has_micro_batch()) part.batches.push_back(response.micro_batch());
    has_header = true;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return part;
}

TEST(EvaluationSource, NumbersDocumentsInDescendingOrderOfTheirIds) {
  FakeDataset dataset;
  const uint32_t d10 = dataset.Document("10", "w1");  // descending bytes: é, b, 9, 10
  const uint32_t d9 = dataset.Document("9", "w2 w2");
  const uint32_t de = dataset.Document("\xC3\xA9", "w3 w3 w3");
  const uint32_t db = dataset.Document("b", "w1");
  dataset.Query("w7");
  dataset.Query("w8 w8");
  dataset.Judge(0, d10, 1, 0, 1);  // in the other split
  dataset.Judge(1, d9, 2);
  dataset.Judge(1, de, 0);
  dataset.Judge(1, d9, 3, 1);  // judged twice: the higher grade counts
  dataset.HardNegative(1, db);
  const auto tokens = TestTokens(dataset);
  const RankPart part = PartOf(*SourceOf(dataset, 0, tokens, 1), 0);
  EXPECT_EQ(part.header.query_count(), 1);
  EXPECT_EQ(part.header.document_count(), 4);
  EXPECT_EQ(part.header.own_sequences(), 4);
  EXPECT_EQ(part.header.own_queries(), 1);
  EXPECT_THAT(part.header.judged_offsets(), ElementsAre(0, 2));
  EXPECT_THAT(part.header.judged_documents(), ElementsAre(0, 2));
  EXPECT_THAT(part.header.judged_grades(), ElementsAre(0, 3));
  EXPECT_THAT(part.header.alias_documents(), ElementsAre(3));
  EXPECT_THAT(part.header.alias_targets(), ElementsAre(1));
  ASSERT_EQ(part.batches.size(), 1);
  EXPECT_THAT(part.batches[0].slots(), ElementsAre(2, 0, 3, 1));
  EXPECT_THAT(part.batches[0].lengths(), ElementsAre(3, 4, 4, 5));
}

TEST(EvaluationSource, PairQueriesWithTheDocumentsOfTheirIdsWhereAskedTo) {
  FakeDataset dataset;
  for (const char* id : {"a", "b", "c"}) dataset.Document(id, "w1");  // numbers: c 0, b 1, a 2
  for (const char* id : {"zz", "c", "unjudged", "a", ""}) dataset.QueryWithId(id, "w2");
  for (const uint32_t query : {0, 1, 3, 4}) dataset.Judge(query, 1);
  const auto tokens = TestTokens(dataset);
  const auto source = SourceOf(dataset, 0, tokens, 2);
  EXPECT_TRUE(PartOf(*source, 0).header.identical_id_queries().empty());
  const EvaluationHeader header = PartOf(*source, 0, /*pair_identical_ids=*/true).header;
  EXPECT_THAT(header.identical_id_queries(), ElementsAre(1, 2, 4)) << "the last one is the end mark";
  EXPECT_THAT(header.identical_id_documents(), ElementsAre(0, 2, 3));
  EXPECT_TRUE(PartOf(*source, 1, true).header.identical_id_queries().empty()) << "rank 0 alone";
}

TEST(EvaluationSource, StopsAtTheFirstErrorOfSend) {
  const auto dataset = RandomDataset(17, 20, 20);
  int sent = 0;
  const auto status = SourceOf(*dataset, 0, TestTokens(*dataset), 1)->Stream(0, false, [&](const StreamEvaluationResponse&) {
    return ++sent == 2 ? absl::CancelledError("gone") : absl::OkStatus();
  });
  EXPECT_EQ(status, absl::CancelledError("gone"));
  EXPECT_EQ(sent, 2);
}

RC_GTEST_PROP(EvaluationSource, CoverEveryQueryAndDocumentOnce, ()) {
  const auto dataset = RandomDataset(*rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange<uint32_t>(1, 40),
                                     *rc::gen::inRange<uint32_t>(1, 40));
  const auto tokens = TestTokens(*dataset);
  const auto split = *rc::gen::inRange<uint32_t>(0, 2), world_size = *rc::gen::inRange<uint32_t>(1, 7);
  const auto source = SourceOf(*dataset, split, tokens, world_size);
  std::map<uint32_t, int> seen;
  EvaluationHeader first;
  uint32_t own_queries = 0, own_sequences = 0;
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    const RankPart part = PartOf(*source, rank);
    if (rank == 0) first = part.header;
    RC_ASSERT(part.header.query_count() == first.query_count());
    RC_ASSERT(part.header.document_count() == dataset->documents());
    RC_ASSERT(rank == 0 || part.header.judged_offsets().empty());
    RC_ASSERT(rank == 0 || part.header.alias_documents().empty());
    uint32_t sequences = 0, queries = 0;
    for (const MicroBatch& batch : part.batches) {
      for (const uint32_t slot : batch.slots()) {
        ++seen[slot];
        ++sequences;
        queries += slot < first.query_count();
      }
    }
    RC_ASSERT(sequences == part.header.own_sequences());
    RC_ASSERT(queries == part.header.own_queries());
    own_sequences += sequences;
    own_queries += queries;
  }
  RC_ASSERT(own_queries == first.query_count());
  for (const uint32_t document : first.alias_documents()) ++seen[first.query_count() + document];
  for (const uint32_t document : first.alias_targets()) RC_ASSERT(seen.contains(first.query_count() + document));
  RC_ASSERT(seen.size() == first.query_count() + first.document_count());
  for (const auto& [slot, count] : seen) RC_ASSERT(count == 1);
  RC_ASSERT(own_sequences + first.alias_documents_size() == seen.size());
}

}  // namespace
}  // namespace muster
