#include "worker/rank/evaluate/evaluator.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/retrieval/metrics.h"
#include "worker/rank/collective/in_process.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;

constexpr int64_t kQueries = 5, kDocuments = 20;

std::vector<uint32_t> Tokens(uint32_t slot) {
  // The text of query q is that of document 2 q + 1, so that this document comes first.
  CounterRandom random(slot < kQueries ? 2 * slot + 1 : slot - kQueries);
  std::vector<uint32_t> ids(4 + random.Below(6));
  for (uint32_t& id : ids) id = static_cast<uint32_t>(random.Below(50));
  return ids;
}

// Document 7 has the text of document 3, which is encoded in its place.
EvaluationSource Source(int64_t rank, int64_t world_size, bool twin_11 = false) {
  EvaluationSource source;
  auto& header = source.header;
  header.set_query_count(kQueries);
  header.set_document_count(kDocuments);
  auto batches = std::make_shared<std::vector<muster::internal::v1::MicroBatch>>();
  for (uint32_t slot = 0; slot < kQueries + kDocuments; ++slot) {
    if (slot == kQueries + 7 || (twin_11 && slot == kQueries + 11) || (slot * 5 + slot / 4) % world_size != rank) continue;
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
    // Query 3: not judged. Query 4: document 9, first, with grade 2; its neighbors are not judged.
    for (const uint32_t offset : {0, 1, 2, 3, 3, 4}) header.add_judged_offsets(offset);
    for (const uint32_t document : {1, 7, 5, 9}) header.add_judged_documents(document);
    for (const float grade : {1.f, 1.f, 0.f, 2.f}) header.add_judged_grades(grade);
  }
  source.next = [batches, next = size_t{0}](muster::internal::v1::MicroBatch* micro) mutable -> absl::StatusOr<bool> {
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
      std::string by_query;
      const auto result =
          Evaluate(**encoder, group, Source(group.rank(), world_size),
                   {.metrics = StandardMetrics(), .kept = 100, .queries_at_once = 2, .query_values = &by_query});
      if (!result.ok()) return result.status();
      EXPECT_EQ(result->queries(), 3) << "queries without a relevant document do not count";
      EXPECT_EQ(result->documents(), kDocuments);
      EXPECT_NEAR(result->metrics().at("mrr"), (1 + 0.5 + 1) / 3, 1e-12);
      EXPECT_NEAR(result->metrics().at("ndcg@10"), (1 + 1 / std::log2(3.0) + 1) / 3, 1e-12);
      EXPECT_NEAR(result->metrics().at("recall@100"), 1, 1e-12);
      if (group.rank() == 0) {
        EXPECT_THAT(by_query, testing::StartsWith("query,map@100,mrr,mrr@10,ndcg@10,recall@10,recall@100\n0,1,1,1,1,1,1\n"
                                                  "1,0.5,0.5,0.5,0.63092975357145"));
        EXPECT_THAT(by_query, testing::EndsWith(",1,1\n4,1,1,1,1,1,1\n")) << "queries that count, and no others";
      } else {
        EXPECT_EQ(by_query, "");
      }
      return absl::OkStatus();
    });
    for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  }
}

// All texts of a source in one micro-batch.
EvaluationSource InOnePiece(EvaluationSource source) {
  muster::internal::v1::MicroBatch all, one;
  while (*source.next(&one)) {
    const std::string tokens = all.tokens() + one.tokens();
    all.MergeFrom(one);
    all.set_tokens(tokens);
  }
  source.next = [all, given = false](muster::internal::v1::MicroBatch* micro) mutable -> absl::StatusOr<bool> {
    if (!given) *micro = all;
    return !std::exchange(given, true);
  };
  return source;
}

TEST(Evaluate, DependsNeitherOnThreadsNorOnHowMicroBatchesAreCut) {
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  const int threads = at::get_num_threads();
  std::string first;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    for (const uint64_t tokens : {1, 20, 100'000}) {
      const auto result = Evaluate(**encoder, *MakeSingleGroup(), InOnePiece(Source(0, 1)),
                                   {.metrics = StandardMetrics(), .cpu_tokens = tokens});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_NEAR(result->metrics().at("mrr"), (1 + 0.5 + 1) / 3, 1e-12);
      if (first.empty()) first = result->DebugString();
      EXPECT_EQ(result->DebugString(), first) << count << " threads, " << tokens << " tokens at once";
    }
  }
  at::set_num_threads(threads);
}

// Many micro-batches, which threads take parts of without waiting for each other.
TEST(Evaluate, ReportsProgressFromTheCallersThreadAndEndsAtOne) {
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  std::vector<double> reported;
  const auto caller = std::this_thread::get_id();
  const auto result = Evaluate(**encoder, *MakeSingleGroup(), Source(0, 1),
                               {.metrics = {"mrr"}, .progress = [&](double done) {
                                  EXPECT_EQ(std::this_thread::get_id(), caller);
                                  reported.push_back(done);
                                }});
  at::set_num_threads(threads);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_FALSE(reported.empty());
  EXPECT_TRUE(std::ranges::is_sorted(reported));
  EXPECT_EQ(reported.back(), 1);
}

TEST(Evaluate, GivesTheStreamsErrorAndAsksNoMore) {
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  EvaluationSource source = Source(0, 1);
  std::atomic<int> asked = 0, after = 0;
  source.next = [&, next = source.next](muster::internal::v1::MicroBatch* micro) -> absl::StatusOr<bool> {
    if (++asked <= 5) return next(micro);
    after += asked > 6;
    return absl::UnavailableError("the stream is gone");
  };
  const auto result = Evaluate(**encoder, *MakeSingleGroup(), source, {.metrics = {"mrr"}});
  at::set_num_threads(threads);
  EXPECT_EQ(result.status(), absl::UnavailableError("the stream is gone"));
  EXPECT_EQ(after, 0);
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

// Every query is judged; documents 7 and 11 have the text of document 3, and 3 is encoded in their place. Query 1 has the
// id of document 11, query 2 that of document 5 (which is its own text), query 4 that of document 9 (relevant to it).
EvaluationSource IdenticalSource(int64_t rank, int64_t world_size, bool marked = true) {
  EvaluationSource source = Source(rank, world_size, /*twin_11=*/true);
  auto& header = source.header;
  if (rank != 0) return source;
  header.add_alias_documents(11);
  header.add_alias_targets(3);
  header.clear_judged_offsets();
  header.clear_judged_documents();
  header.clear_judged_grades();
  for (const uint32_t offset : {0, 2, 4, 5, 6, 8}) header.add_judged_offsets(offset);
  for (const uint32_t document : {1, 4, 7, 11, 6, 3, 9, 12}) header.add_judged_documents(document);
  for (const float grade : {1.f, 2.f, 1.f, 2.f, 1.f, 1.f, 2.f, 1.f}) header.add_judged_grades(grade);
  for (const uint32_t query : {1, 2, 4}) header.add_identical_id_queries(query);
  for (const uint32_t document : {11, 5, 9}) header.add_identical_id_documents(document);
  if (marked) {
    header.add_identical_id_queries(kQueries);
    header.add_identical_id_documents(kDocuments);
  }
  return source;
}

// BEIR's rule over the whole score matrix, in the plainest way: rank all documents, drop the one with the query's id, cut
// at k, and measure against all judgments.
std::map<std::string, double> PlainMetrics(const Encoder& encoder, const EvaluationHeader& header, bool ignore,
                                           size_t kept) {
  const auto embed = [&](uint32_t slot) {
    const std::vector<uint32_t> ids = Tokens(slot);
    const std::vector<int64_t> wide(ids.begin(), ids.end());
    at::NoGradGuard no_gradient;
    return encoder.Encode({.tokens = at::tensor(wide, at::kLong), .lengths = {static_cast<int64_t>(ids.size())},
                           .slots = {slot}}, {});
  };
  std::map<std::string, double> sums;
  for (int64_t q = 0; q < kQueries; ++q) {
    const at::Tensor query = embed(static_cast<uint32_t>(q));
    std::vector<std::pair<float, int64_t>> ranking;
    for (int64_t d = 0; d < kDocuments; ++d) {
      const int64_t text = d == 7 || d == 11 ? 3 : d;
      ranking.emplace_back(-at::matmul(query, embed(static_cast<uint32_t>(kQueries + text)).t()).item<float>(), d);
    }
    std::sort(ranking.begin(), ranking.end());
    std::map<int64_t, float> grades;
    std::vector<float> judged, ranked;
    for (uint32_t e = header.judged_offsets(q); e < header.judged_offsets(q + 1); ++e) {
      grades[header.judged_documents(e)] = header.judged_grades(e);
      judged.push_back(header.judged_grades(e));
    }
    for (const auto& [score, document] : ranking) {
      bool same_id = false;
      for (int i = 0; i + 1 < header.identical_id_queries_size(); ++i) {
        same_id |= header.identical_id_queries(i) == q && header.identical_id_documents(i) == document;
      }
      if (!(ignore && same_id) && ranked.size() < kept) ranked.push_back(grades.contains(document) ? grades[document] : 0);
    }
    for (const std::string& name : StandardMetrics()) {
      sums[name] += EvaluateMetric(*ParseMetricName(name), ranked, judged) / kQueries;
    }
  }
  return sums;
}

TEST(Evaluate, LeavesOutTheDocumentWithTheQuerysIdAndNotItsTwinsOnAnyNumberOfRanks) {
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  const EvaluationSource whole = IdenticalSource(0, 1);
  for (const bool ignore : {false, true}) {
    for (const int64_t kept : {3, 100}) {  // 3: the fourth must replace the one that is left out
      const auto expected = PlainMetrics(**encoder, whole.header, ignore, static_cast<size_t>(kept));
      for (const int64_t world_size : {1, 2, 3}) {
        double largest = 0;
        for (const absl::Status& status : RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
               auto own = Encoder::Random(ProblemConfig(), 1);
               const auto result = Evaluate(**own, group, IdenticalSource(group.rank(), world_size),
                                            {.metrics = StandardMetrics(), .kept = kept, .queries_at_once = 2,
                                             .ignore_identical_ids = ignore});
               if (!result.ok()) return result.status();
               EXPECT_EQ(result->queries(), kQueries);
               if (group.rank() != 0) return absl::OkStatus();
               for (const auto& [name, value] : expected) {
                 largest = std::max(largest, std::abs(result->metrics().at(name) - value));
                 EXPECT_NEAR(result->metrics().at(name), value, 1e-9) << name << ", ignore " << ignore;
               }
               return absl::OkStatus();
             })) {
          EXPECT_TRUE(status.ok()) << status;
        }
        std::cout << "ignore " << ignore << ", " << kept << " kept, " << world_size << " ranks: largest difference "
                  << largest << "\n";
      }
    }
  }
  EXPECT_NE(PlainMetrics(**encoder, whole.header, true, 3), PlainMetrics(**encoder, whole.header, false, 3));
}

// "query: document document; …" for the first `depth` documents, and the metrics of the first `kept`.
std::string RankingsAndMetrics(int64_t world_size, int64_t kept, int64_t depth, bool ignore) {
  std::string text;
  for (const absl::Status& status : RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
         auto encoder = Encoder::Random(ProblemConfig(), 1);
         const bool first = group.rank() == 0;
         const auto report = [&](uint32_t query, std::span<const uint32_t> documents, std::span<const float> scores) {
           EXPECT_TRUE(first);
           EXPECT_EQ(documents.size(), scores.size());
           EXPECT_TRUE(std::ranges::is_sorted(scores, std::greater<>()));
           text += std::to_string(query) + ":";
           for (const uint32_t document : documents) text += " " + std::to_string(document);
           text += "; ";
         };
         const auto result = Evaluate(**encoder, group, IdenticalSource(group.rank(), world_size),
                                      {.metrics = StandardMetrics(), .kept = kept, .queries_at_once = 2,
                                       .ignore_identical_ids = ignore, .ranked = report, .ranked_depth = depth});
         if (!result.ok()) return result.status();
         if (first) text += std::to_string(result->metrics().at("mrr")) + " " + std::to_string(result->metrics().at("map@100"));
         return absl::OkStatus();
       })) {
    EXPECT_TRUE(status.ok()) << status;
  }
  return text;
}

TEST(Evaluate, GivesTheRankingsToAnyDepthOnAnyNumberOfRanksAndMeasuresTheSame) {
  for (const bool ignore : {false, true}) {
    const std::string all = RankingsAndMetrics(1, 3, kDocuments, ignore), few = RankingsAndMetrics(1, 3, 2, ignore);
    EXPECT_THAT(all, testing::StartsWith("0: 1 "));
    EXPECT_THAT(all, testing::HasSubstr(ignore ? "; 1: 3 7 " : "; 1: 3 7 11 ")) << "documents with equal texts, in order";
    EXPECT_THAT(few, testing::HasSubstr("; 1: 3 7; 2: ")) << few;
    EXPECT_EQ(all.substr(all.rfind(';')), few.substr(few.rfind(';'))) << "metrics of three documents";
    for (const int64_t world_size : {2, 3}) {
      EXPECT_EQ(RankingsAndMetrics(world_size, 3, kDocuments, ignore), all);
      EXPECT_EQ(RankingsAndMetrics(world_size, 3, 2, ignore), few);
    }
  }
}

TEST(Evaluate, GivesTheRankingsOfQueriesWithoutARelevantDocument) {
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  std::vector<uint32_t> queries;
  const auto report = [&](uint32_t query, std::span<const uint32_t> documents, std::span<const float>) {
    EXPECT_EQ(documents.size(), 4u);
    queries.push_back(query);
  };
  const auto result = Evaluate(**encoder, *MakeSingleGroup(), Source(0, 1),
                               {.metrics = {"mrr"}, .kept = 100, .ranked = report, .ranked_depth = 4});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->queries(), 3);
  EXPECT_THAT(queries, testing::ElementsAre(0, 1, 2, 3, 4));
}

// A data server of the previous version sends no pairs: its ranking would keep what the option leaves out.
TEST(Evaluate, RefusesADataServerThatDoesNotKnowTheOption) {
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  for (const EvaluationSource& source : {Source(0, 1), IdenticalSource(0, 1, /*marked=*/false)}) {
    const auto result = Evaluate(**encoder, *MakeSingleGroup(), source, {.metrics = {"mrr"}, .ignore_identical_ids = true});
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
  }
}

std::string ErrorOfEvaluation(const std::function<void(Encoder&)>& spoil, bool normalize = true) {
  std::string text;
  for (const absl::Status& status : RunInProcessRanks(2, [&](Group& group) -> absl::Status {
         EncoderConfig config = ProblemConfig();
         config.normalize = normalize;
         auto encoder = Encoder::Random(config, 1);
         {
           at::NoGradGuard no_gradient;
           spoil(**encoder);
         }
         return Evaluate(**encoder, group, Source(group.rank(), 2), {.metrics = StandardMetrics()}).status();
       })) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    if (text.empty()) text = std::string(status.message());
    EXPECT_EQ(status.message(), text) << "alike on all ranks";
  }
  return text;
}

TEST(Evaluate, WhatIsNotFiniteIsAnErrorAndGivesNoMetrics) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(ErrorOfEvaluation([](Encoder& encoder) { encoder.parameters()[0].value.fill_(kNan); }),
            "evaluation: no embedding is finite, so the model's weights are not. Use another model.");
  const uint32_t rare = Tokens(kQueries + 6)[0];
  EXPECT_THAT(ErrorOfEvaluation([&](Encoder& encoder) { encoder.parameters()[0].value[rare].fill_(kNan); }),
              testing::AllOf(testing::HasSubstr(", which begins token ids "), testing::HasSubstr(" of 24 are not)")));
  const auto lengthen = [](Encoder& encoder) {
    for (Parameter& parameter : encoder.parameters()) {
      if (parameter.name == "encoder.layer.1.output.LayerNorm.weight") parameter.value.mul_(1e20);
    }
  };
  EXPECT_THAT(ErrorOfEvaluation(lengthen, /*normalize=*/false), testing::HasSubstr("a score is not finite"));
}

}  // namespace
}  // namespace muster
