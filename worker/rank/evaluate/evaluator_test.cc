#include "worker/rank/evaluate/evaluator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "worker/rank/collective/in_process.h"
#include "worker/rank/evaluate/metrics.h"
#include "worker/rank/train/problem.h"

namespace muster {
namespace {

constexpr int64_t kQueries = 5, kDocuments = 20;

std::vector<uint32_t> Tokens(uint32_t slot) {
  // The text of query q is that of document 2 q + 1, so that this document comes first.
  CounterRandom random(slot < kQueries ? 2 * slot + 1 : slot - kQueries);
  std::vector<uint32_t> ids(4 + random.Below(6));
  for (uint32_t& id : ids) id = static_cast<uint32_t>(random.Below(50));
  return ids;
}

// Document 7 has the text of document 3, which is encoded in its place.
EvaluationSource Source(int64_t rank, int64_t world_size) {
  EvaluationSource source;
  auto& header = source.header;
  header.set_query_count(kQueries);
  header.set_document_count(kDocuments);
  header.set_max_aliases(2);
  auto batches = std::make_shared<std::vector<muster::v1::MicroBatch>>();
  for (uint32_t slot = 0; slot < kQueries + kDocuments; ++slot) {
    if (slot == kQueries + 7 || (slot * 5 + slot / 4) % world_size != rank) continue;
    const auto ids = Tokens(slot);
    auto& micro = batches->emplace_back();
    micro.add_lengths(ids.size());
    micro.add_slots(slot);
    micro.set_tokens(ids.data(), 4 * ids.size());
    header.set_own_sequences(header.own_sequences() + 1);
    header.set_own_queries(header.own_queries() + (slot < kQueries));
  }
  if (rank == 0) {
    header.add_alias_documents(7);
    header.add_alias_targets(3);
    // Query 0: document 1, first. Query 1: document 7, second after its twin 3. Query 2: judged, but not relevant.
    // Query 3: not judged. Query 4: documents 9 (first) with grade 2, and 9's neighbours are not judged.
    for (const uint32_t offset : {0, 1, 2, 3, 3, 4}) header.add_judged_offsets(offset);
    for (const uint32_t document : {1, 7, 5, 9}) header.add_judged_documents(document);
    for (const float grade : {1.f, 1.f, 0.f, 2.f}) header.add_judged_grades(grade);
  }
  source.next = [batches, next = size_t{0}](muster::v1::MicroBatch* micro) mutable -> absl::StatusOr<bool> {
    if (next == batches->size()) return false;
    *micro = (*batches)[next++];
    return true;
  };
  return source;
}

TEST(Evaluate, EqualsHandComputedMetricsOnAnyNumberOfRanks) {
  for (const int64_t world_size : {1, 2, 3}) {
    const auto statuses = RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
      auto encoder = Encoder::Random(ProblemConfig(), 1);
      const auto result = Evaluate(**encoder, group, Source(group.rank(), world_size),
                                   {.metrics = StandardMetrics(), .kept = 100, .queries_at_once = 2});
      if (!result.ok()) return result.status();
      EXPECT_EQ(result->queries(), 3) << "queries without a relevant document do not count";
      EXPECT_EQ(result->documents(), kDocuments);
      EXPECT_NEAR(result->metrics().at("mrr"), (1 + 0.5 + 1) / 3, 1e-12);
      EXPECT_NEAR(result->metrics().at("ndcg@10"), (1 + 1 / std::log2(3.0) + 1) / 3, 1e-12);
      EXPECT_NEAR(result->metrics().at("recall@100"), 1, 1e-12);
      return absl::OkStatus();
    });
    for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(Evaluate, AMetricThatIsNamedTwiceCountsOnce) {
  // A job's selecting metric is usually a standard one too.
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  const auto result = Evaluate(**encoder, *MakeSingleGroup(), Source(0, 1), {.metrics = {"mrr", "ndcg@10", "mrr"}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->metrics().at("mrr"), (1 + 0.5 + 1) / 3, 1e-12);
}

TEST(Evaluate, RefusesAStreamThatEndsEarly) {
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  EvaluationSource source = Source(0, 1);
  source.header.set_own_sequences(source.header.own_sequences() + 1);
  EXPECT_EQ(Evaluate(**encoder, *MakeSingleGroup(), source, {.metrics = {"mrr"}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace muster
