#include "worker/rank/evaluate/miner.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/rank/collective/in_process.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;

constexpr int64_t kMinedQueries = 5, kMinedDocuments = 24;

std::vector<uint32_t> MinedTokens(uint32_t slot) {
  CounterRandom random(slot + 100);
  std::vector<uint32_t> ids(4 + random.Below(6));
  for (uint32_t& id : ids) id = static_cast<uint32_t>(random.Below(50));
  return ids;
}

// Query q has the positives q and q + 1; documents q + 2 .. 2q + 2 are excluded, too. Query 3 has no positive.
void FillEdges(EvaluationHeader& header) {
  auto& edges = *header.mutable_mining();
  edges.add_positive_offsets(0);
  edges.add_excluded_offsets(0);
  for (uint32_t q = 0; q < kMinedQueries; ++q) {
    for (uint32_t d = q; q != 3 && d < q + 2; ++d) edges.add_positives(d);
    for (uint32_t d = q; d < 2 * q + 3; ++d) edges.add_excluded(d);
    edges.add_positive_offsets(edges.positives_size());
    edges.add_excluded_offsets(edges.excluded_size());
  }
}

EvaluationSource MiningSource(int64_t rank, int64_t world_size) {
  EvaluationSource source;
  auto& header = source.header;
  header.set_query_count(kMinedQueries);
  header.set_document_count(kMinedDocuments);
  FillEdges(header);
  auto batches = std::make_shared<std::vector<muster::internal::v1::MicroBatch>>();
  for (uint32_t slot = 0; slot < kMinedQueries + kMinedDocuments; ++slot) {
    if ((slot * 5 + slot / 4) % world_size != rank) continue;
    const auto ids = MinedTokens(slot);
    auto& micro = batches->emplace_back();
    micro.add_lengths(ids.size());
    micro.add_slots(slot);
    micro.set_tokens(ids.data(), 4 * ids.size());
    header.set_own_sequences(header.own_sequences() + 1);
    header.set_own_queries(header.own_queries() + (slot < kMinedQueries));
  }
  source.next = [batches, next = size_t{0}](muster::internal::v1::MicroBatch* micro) mutable -> absl::StatusOr<bool> {
    if (next == batches->size()) return false;
    *micro = (*batches)[next++];
    return true;
  };
  return source;
}

// The straightforward reference: computes the whole matrix of scores and sorts each row.
std::vector<std::vector<uint32_t>> PlainMined(const Encoder& encoder, const MiningRules& rules) {
  EvaluationHeader header;
  header.set_document_count(kMinedDocuments);
  FillEdges(header);
  const auto& edges = header.mining();
  const auto embed = [&](uint32_t slot) {
    const std::vector<uint32_t> ids = MinedTokens(slot);
    const std::vector<int64_t> wide(ids.begin(), ids.end());
    at::NoGradGuard no_gradient;
    return encoder.Encode({.tokens = at::tensor(wide, at::kLong), .lengths = {static_cast<int64_t>(ids.size())},
                           .slots = {slot}}, {});
  };
  std::vector<std::vector<uint32_t>> mined(kMinedQueries);
  for (uint32_t q = 0; q < kMinedQueries; ++q) {
    std::vector<float> scores;
    for (uint32_t d = 0; d < kMinedDocuments; ++d) {
      scores.push_back(at::matmul(embed(q), embed(kMinedQueries + d).t()).item<float>());
    }
    float lowest = 2;
    for (uint32_t e = edges.positive_offsets(q); e < edges.positive_offsets(q + 1); ++e) {
      lowest = std::min(lowest, scores[edges.positives(e)]);
    }
    if (lowest == 2) continue;
    std::vector<uint32_t> order(kMinedDocuments);
    for (uint32_t d = 0; d < kMinedDocuments; ++d) order[d] = d;
    std::ranges::stable_sort(order, [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
    int64_t rank = 0;
    for (const uint32_t d : order) {
      if (d >= q && d < 2 * q + 3) continue;
      ++rank;
      const bool low = !rules.relative_margin.has_value() || scores[d] <= HighestAllowedScore(rules, lowest);
      if (rank < rules.first_rank || rank > rules.last_rank || !low) continue;
      if (static_cast<int64_t>(mined[q].size()) < rules.per_query) mined[q].push_back(d);
    }
  }
  return mined;
}

std::vector<std::vector<uint32_t>> RowsOf(const muster::internal::v1::MinedNegatives& mined) {
  std::vector<std::vector<uint32_t>> rows;
  auto next = mined.documents().begin();
  for (const uint32_t count : mined.counts()) {
    rows.emplace_back(next, next + count);
    next += count;
  }
  EXPECT_EQ(next, mined.documents().end());
  return rows;
}

TEST(Mine, EqualsTheReferenceOnAnyNumberOfRanks) {
  auto encoder = Encoder::Random(ProblemConfig(), 1);
  // A random encoder scores all texts almost equally, so only a margin close to 1 excludes some and keeps others.
  for (const MiningRules& rules : {MiningRules{.per_query = 3}, MiningRules{.first_rank = 4, .last_rank = 8, .per_query = 9},
                                   MiningRules{.last_rank = 20, .per_query = 20, .relative_margin = 0.995}}) {
    const auto expected = PlainMined(**encoder, rules);
    ASSERT_TRUE(std::ranges::any_of(expected, [](const auto& row) { return !row.empty(); }));
    for (const int64_t world_size : {1, 2, 3}) {
      const auto statuses = RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
        auto own = Encoder::Random(ProblemConfig(), 1);
        const auto mined = Mine(**own, group, MiningSource(group.rank(), world_size), rules, {.queries_at_once = 2});
        if (!mined.ok()) return mined.status();
        if (group.rank() != 0) {
          EXPECT_EQ(mined->negatives.counts_size(), 0);
          return absl::OkStatus();
        }
        EXPECT_EQ(RowsOf(mined->negatives), expected) << world_size << " ranks";
        EXPECT_EQ(mined->queries, 4u) << "one has no positive";
        const auto fewer = std::ranges::count_if(expected, [&](const auto& row) {
          return static_cast<int64_t>(row.size()) < rules.per_query;
        });
        EXPECT_EQ(mined->short_queries, static_cast<uint64_t>(fewer - 1));
        return absl::OkStatus();
      });
      for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
    }
  }
}

std::string ErrorOfMining(const MiningRules& rules, const std::function<void(EvaluationHeader&)>& change) {
  std::string text;
  for (const absl::Status& status : RunInProcessRanks(2, [&](Group& group) -> absl::Status {
         auto encoder = Encoder::Random(ProblemConfig(), 1);
         EvaluationSource source = MiningSource(group.rank(), 2);
         change(source.header);
         return Mine(**encoder, group, std::move(source), rules, {}).status();
       })) {
    EXPECT_FALSE(status.ok());
    if (text.empty()) text = std::string(status.message());
    EXPECT_EQ(status.message(), text) << "alike on all ranks";
  }
  return text;
}

TEST(Mine, WhatCannotBeMinedIsAnErrorThatNamesTheRemedy) {
  EXPECT_EQ(ErrorOfMining({}, [](EvaluationHeader& header) { header.clear_mining(); }),
            "mining: the data server does not support mining. Upgrade muster-data to this version.");
  EXPECT_EQ(ErrorOfMining({}, [](EvaluationHeader& header) { header.mutable_mining()->add_excluded(kMinedDocuments); }),
            "mining: the header's offsets do not match its positives or excluded documents");
  EXPECT_EQ(ErrorOfMining({}, [](EvaluationHeader& header) {
              auto& edges = *header.mutable_mining();
              edges.clear_positives();
              for (auto& offset : *edges.mutable_positive_offsets()) offset = 0;
            }),
            "mining: no query of the split has a positive. Mine for another split.");
  EXPECT_EQ(ErrorOfMining({.first_rank = 100, .last_rank = 200}, [](EvaluationHeader&) {}),
            "mining: no query has a passage within mine.ranks that the margins allow. Widen mine.ranks, or relax the margins.");
}

}  // namespace
}  // namespace muster
