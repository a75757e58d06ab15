#include "coordinator/data/plan/share_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "common/deterministic_bytes.h"
#include "common/sample_ledger.h"
#include "coordinator/data/plan/assign_sequences.h"
#include "coordinator/data/plan/plan_test_data.h"

namespace muster {
namespace {

using muster::internal::v1::MicroBatch;
using muster::internal::v1::StepShare;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using Tokens = std::vector<uint32_t>;

constexpr ShareForm kSlotsOfAllRanks = {.slots_of_all_ranks = true};

// Adds a micro-batch's sequences to slot → ids; false if a slot is already present.
bool Collect(const MicroBatch& batch, std::map<uint32_t, Tokens>& by_slot) {
  Tokens ids(batch.tokens().size() / sizeof(uint32_t));
  std::memcpy(ids.data(), batch.tokens().data(), batch.tokens().size());
  size_t begin = 0;
  for (int i = 0; i < batch.lengths_size(); ++i) {
    const auto end = begin + batch.lengths(i);
    if (end > ids.size()) return false;
    if (!by_slot.emplace(batch.slots(i), Tokens(ids.begin() + begin, ids.begin() + end)).second) return false;
    begin = end;
  }
  return begin == ids.size();
}

// The global batch reassembled from all shares: what the update depends on.
struct Graph {
  std::map<uint32_t, Tokens> sequences;
  std::vector<std::vector<uint32_t>> positives, ignored;
  std::vector<std::vector<float>> weights;
  std::vector<float> row_weights;
  std::vector<uint64_t> queries;
  double total_weight = 0;
  uint64_t digest = 0;
  bool operator==(const Graph&) const = default;
};

template <typename Field, typename T>
void AddRows(const Field& values, const google::protobuf::RepeatedField<uint32_t>& offsets, uint32_t rows,
             std::vector<std::vector<T>>& out) {
  for (uint32_t row = 0; row < rows; ++row) {
    out.emplace_back();
    if (!values.empty()) out.back().assign(values.begin() + offsets[row], values.begin() + offsets[row + 1]);
  }
}

Graph GraphOf(ShareSource& source, uint64_t step, uint32_t world_size) {
  Graph graph;
  std::vector<uint32_t> gathered;
  StepShare first;
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    const StepShare share = *source.Share(step, rank, world_size, kSlotsOfAllRanks);
    if (rank == 0) first = share;
    EXPECT_EQ(share.step(), step);
    EXPECT_EQ(share.plan_digest(), first.plan_digest());
    EXPECT_EQ(share.total_weight(), first.total_weight());
    EXPECT_EQ(share.row_begin(), graph.positives.size());
    EXPECT_TRUE(std::ranges::equal(share.gather_slots(), first.gather_slots()));
    EXPECT_EQ(share.rank_counts_size(), world_size);
    uint32_t own = 0;
    for (const MicroBatch& batch : share.micro_batches()) {
      EXPECT_TRUE(Collect(batch, graph.sequences));
      EXPECT_TRUE(std::ranges::is_sorted(batch.lengths()));
      gathered.insert(gathered.end(), batch.slots().begin(), batch.slots().end());
      own += batch.slots_size();
    }
    EXPECT_EQ(own, share.rank_counts(rank));
    EXPECT_TRUE(own > 0 || share.query_count() + share.passage_count() < world_size);
    const uint32_t rows = share.row_end() - share.row_begin();
    EXPECT_GE(rows, share.query_count() / world_size);  // rows are divided evenly
    EXPECT_LE(rows, share.query_count() / world_size + 1);
    EXPECT_EQ(share.positive_offsets_size(), rows + 1);
    EXPECT_EQ(share.ignored_offsets_size(), rows + 1);
    EXPECT_EQ(share.query_digests_size(), rows);
    AddRows(share.positives(), share.positive_offsets(), rows, graph.positives);
    AddRows(share.ignored(), share.ignored_offsets(), rows, graph.ignored);
    AddRows(share.positive_weights(), share.positive_offsets(), rows, graph.weights);
    graph.row_weights.insert(graph.row_weights.end(), share.row_weights().begin(), share.row_weights().end());
    graph.queries.insert(graph.queries.end(), share.query_digests().begin(), share.query_digests().end());
  }
  EXPECT_EQ(graph.positives.size(), first.query_count());
  EXPECT_EQ(graph.sequences.size(), first.query_count() + first.passage_count());
  EXPECT_TRUE(std::ranges::equal(gathered, first.gather_slots()));
  graph.total_weight = first.total_weight();
  graph.digest = first.plan_digest();
  return graph;
}

RC_GTEST_PROP(ShareSource, GivesTheSameGraphOnAnyNumberOfRanks, ()) {
  const auto dataset = RandomDataset(*rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange<uint32_t>(1, 30),
                                     *rc::gen::inRange<uint32_t>(1, 30));
  muster::v1::JobSpec spec = TestJob(*rc::gen::inRange<uint32_t>(1, 12));
  spec.set_seed(*rc::gen::arbitrary<uint64_t>());
  spec.mutable_data()->mutable_negatives()->set_per_query(*rc::gen::inRange<uint32_t>(0, 3));
  spec.mutable_data()->mutable_positives()->set_weigh(*rc::gen::arbitrary<bool>());
  spec.mutable_batch()->set_micro_batch_tokens(*rc::gen::inRange<uint32_t>(1, 300));
  RC_PRE(TrainQueries(*dataset, 0, spec.data()) > 0);
  const auto source = *TestSource(dataset, spec);
  const uint64_t step = *rc::gen::inRange<uint64_t>(0, 30);
  const Graph one = GraphOf(*source, step, 1);
  for (uint32_t world_size : {2, 3, 4, 8}) RC_ASSERT(GraphOf(*source, step, world_size) == one);
}

// Compares the shares with docs/reference/losses.md: columns are unique texts, a row's positives and ignored columns are
// disjoint, R is the weight of the valid rows, micro-batches keep the token budget, and all of it is a pure function of
// seed, step and dataset.
RC_GTEST_PROP(ShareSource, SharesAreWhatTheStepCountsOn, ()) {
  const auto dataset = RandomDataset(*rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange<uint32_t>(1, 30),
                                     *rc::gen::inRange<uint32_t>(1, 30));
  muster::v1::JobSpec spec = TestJob(*rc::gen::inRange<uint32_t>(1, 12));
  spec.set_seed(*rc::gen::arbitrary<uint64_t>());
  spec.mutable_data()->mutable_negatives()->set_per_query(*rc::gen::inRange<uint32_t>(0, 3));
  const uint32_t budget = *rc::gen::inRange<uint32_t>(1, 300);
  spec.mutable_batch()->set_micro_batch_tokens(budget);
  RC_PRE(TrainQueries(*dataset, 0, spec.data()) > 0);
  const auto source = *TestSource(dataset, spec), again = *TestSource(dataset, spec);
  const uint64_t step = *rc::gen::inRange<uint64_t>(0, 30);
  const uint32_t world_size = *rc::gen::inRange<uint32_t>(1, 9);
  std::map<uint64_t, float> weight_of;
  for (uint32_t q = 0; q < dataset->queries(); ++q) weight_of[dataset->query_digest(q)] = dataset->query_weight(q);
  double total = 0, announced = 0;
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    const StepShare share = *source->Share(step, rank, world_size);
    RC_ASSERT(DeterministicBytes(share) == DeterministicBytes(*again->Share(step, rank, world_size)));
    announced = share.total_weight();
    for (const MicroBatch& batch : share.micro_batches()) {
      uint64_t tokens = 0;
      for (const uint32_t length : batch.lengths()) tokens += length;
      RC_ASSERT(tokens <= budget || batch.lengths_size() == 1);
    }
    for (int row = 0; row < share.query_digests_size(); ++row) {
      std::set<uint32_t> columns;
      const auto add = [&](const auto& values, const auto& offsets) {
        for (uint32_t e = offsets[row]; e < offsets[row + 1]; ++e) {
          RC_ASSERT(values[e] < share.passage_count());
          RC_ASSERT(columns.insert(values[e]).second);
        }
      };
      add(share.positives(), share.positive_offsets());
      add(share.ignored(), share.ignored_offsets());
      if (share.positive_offsets(row) == share.positive_offsets(row + 1)) continue;
      total += weight_of.at(share.query_digests(row));
    }
  }
  RC_ASSERT(total == announced);
}

// Columns have the same numbers for any number of ranks.
TEST(ShareSource, ATeachersListsAreTheSameOnAnyNumberOfRanks) {
  auto dataset = RandomDataset(17, 30, 40);
  CounterRandom random(3);
  for (uint32_t query = 0; query < dataset->queries(); ++query) {
    for (int i = 0; i < 3; ++i) {
      dataset->HardNegative(query, static_cast<uint32_t>(random.Below(40)));
      dataset->Score(query, static_cast<float>(random.Uniform()));
    }
  }
  muster::v1::JobSpec spec = TestJob(12);
  spec.mutable_data()->mutable_negatives()->set_per_query(3);
  spec.mutable_loss()->mutable_distill();
  const auto source = *TestSource(dataset, spec);
  using List = std::vector<std::pair<uint32_t, float>>;
  std::vector<List> whole;
  for (const uint32_t world_size : {1u, 2u, 3u, 4u}) {
    std::vector<List> lists;
    for (uint32_t rank = 0; rank < world_size; ++rank) {
      const StepShare share = *source->Share(0, rank, world_size);
      ASSERT_EQ(share.teacher_offsets_size(), static_cast<int>(share.row_end() - share.row_begin() + 1));
      ASSERT_EQ(share.teacher_scores_size(), share.teacher_columns_size());
      for (int row = 0; row + 1 < share.teacher_offsets_size(); ++row) {
        List& list = lists.emplace_back();
        for (uint32_t i = share.teacher_offsets(row); i < share.teacher_offsets(row + 1); ++i) {
          list.emplace_back(share.teacher_columns(i), share.teacher_scores(i));
        }
        EXPECT_NE(list.size(), 1u);
      }
    }
    if (world_size == 1) whole = lists;
    EXPECT_EQ(lists, whole) << world_size << " ranks";
  }
  EXPECT_TRUE(std::ranges::any_of(whole, [](const List& list) { return list.size() > 1; }));
}

// Equal texts under two ids, judged by different queries: one column, encoded once, positive to both.
TEST(ShareSource, EqualTextsUnderTwoIdsAreEncodedOnceAndPositiveToBothQueries) {
  auto dataset = std::make_shared<FakeDataset>();
  dataset->Query("w1");
  dataset->Query("w2");
  dataset->Judge(0, dataset->Document("a", "w10 w11"));
  dataset->Judge(1, dataset->Document("b", "w10 w11"));
  dataset->Judge(1, dataset->Document("c", "w12"));
  const auto source = *TestSource(dataset, TestJob());
  for (const uint32_t world_size : {1u, 2u, 3u}) {
    const Graph graph = GraphOf(*source, 0, world_size);
    ASSERT_EQ(graph.sequences.size(), 2 + 2);  // two queries, two texts
    std::set<Tokens> texts;
    for (const auto& [slot, ids] : graph.sequences) texts.insert(ids);
    EXPECT_EQ(texts.size(), 4);
    std::map<uint32_t, int> rows_of_column;
    for (const auto& row : graph.positives) {
      for (const uint32_t column : row) ++rows_of_column[column];
    }
    EXPECT_THAT(rows_of_column,
                testing::UnorderedElementsAre(testing::Pair(testing::_, 2), testing::Pair(testing::_, 1)));
  }
}

RC_GTEST_PROP(ShareSource, VisitsEveryQueryOncePerEpochWhereverItIsResumed, ()) {
  const auto dataset = RandomDataset(*rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange<uint32_t>(1, 60), 20);
  const muster::v1::JobSpec spec = TestJob(*rc::gen::inRange<uint32_t>(1, 12));
  const muster::v1::ResolvedJob resolved = Resolve(*dataset, spec);
  RC_PRE(resolved.train_queries() > 0);
  const uint64_t epoch = *rc::gen::inRange<uint64_t>(0, 3), steps = resolved.steps_per_epoch();
  const uint64_t resume = *rc::gen::inRange<uint64_t>(0, steps + 1);
  std::map<uint64_t, int> visits;
  QuerySum expected, applied;
  // One server and world size until `resume`, another from there on.
  const auto visit = [&](uint64_t from, uint64_t to, uint32_t world_size) {
    const auto source = *TestSource(dataset, spec);
    for (uint64_t step = epoch * steps + from; step < epoch * steps + to; ++step) {
      for (uint32_t rank = 0; rank < world_size; ++rank) {
        const StepShare share = *source->Share(step, rank, world_size);
        RC_ASSERT(share.epoch() == epoch);
        RC_ASSERT(share.epoch_end() == (step + 1 == (epoch + 1) * steps));
        for (const uint64_t digest : share.query_digests()) ++visits[digest];
        if (share.epoch_end()) expected = {share.epoch_queries(), share.epoch_query_sum()};
        RC_ASSERT(share.epoch_end() || share.epoch_queries() == 0);
      }
    }
  };
  visit(0, resume, *rc::gen::inRange<uint32_t>(1, 5));
  visit(resume, steps, *rc::gen::inRange<uint32_t>(1, 5));
  RC_ASSERT(visits.size() == resolved.train_queries());
  for (const auto& [digest, count] : visits) RC_ASSERT(count == 1);
  for (const auto& [digest, count] : visits) applied.Add(digest);
  if (resume < steps) RC_ASSERT(JudgeEpoch(applied, expected) == (LedgerVerdict{resolved.train_queries(), 0, 0}));
}

TEST(ShareSource, SameSeedSameBytesOtherSeedOthers) {
  const auto dataset = RandomDataset(17, 40, 30);
  const muster::v1::JobSpec spec = TestJob();
  muster::v1::JobSpec other = spec;
  other.set_seed(18);
  const auto a = *TestSource(dataset, spec), b = *TestSource(dataset, spec), c = *TestSource(dataset, other);
  const auto bytes = [](ShareSource& source) { return DeterministicBytes(*source.Share(3, 1, 2)); };
  EXPECT_EQ(bytes(*a), bytes(*b));
  EXPECT_EQ(bytes(*a), bytes(*a));
  EXPECT_NE(bytes(*a), bytes(*c));
}

TEST(ShareSource, OwnSlotsAloneLeaveOutTheOtherRanksAndNothingElse) {
  const auto source = *TestSource(RandomDataset(17, 40, 30), TestJob(12));
  for (uint32_t rank = 0; rank < 3; ++rank) {
    StepShare all = *source->Share(1, rank, 3, kSlotsOfAllRanks);
    EXPECT_EQ(all.rank_counts_size(), 3);
    EXPECT_EQ(all.gather_slots_size(), static_cast<int>(all.query_count() + all.passage_count()));
    all.clear_rank_counts();
    all.clear_gather_slots();
    EXPECT_EQ(DeterministicBytes(*source->Share(1, rank, 3)), DeterministicBytes(all));
  }
}

TEST(ShareSource, NarrowTokensAreTheSameIdsInHalfTheBytes) {
  const auto source = *TestSource(RandomDataset(17, 40, 30), TestJob(12));
  for (uint32_t rank = 0; rank < 3; ++rank) {
    StepShare narrow = *source->Share(1, rank, 3, {.narrow_tokens = true});
    for (MicroBatch& batch : *narrow.mutable_micro_batches()) {
      EXPECT_TRUE(batch.tokens().empty());
      std::vector<uint16_t> ids(batch.narrow_tokens().size() / sizeof(uint16_t));
      std::memcpy(ids.data(), batch.narrow_tokens().data(), batch.narrow_tokens().size());
      const Tokens wide(ids.begin(), ids.end());
      batch.set_tokens(wide.data(), wide.size() * sizeof(uint32_t));
      batch.clear_narrow_tokens();
    }
    EXPECT_EQ(DeterministicBytes(narrow), DeterministicBytes(*source->Share(1, rank, 3)));
  }
}

// With the slots of all ranks in every share their bytes would grow with the square of the ranks.
TEST(ShareSource, SharesOfManyRanksAreTogetherAsLargeAsOneButForAFewBytesPerRank) {
  const auto source = *TestSource(RandomDataset(17, 400, 2000), TestJob(256));
  const auto total = [&](uint32_t world_size, ShareForm form) {
    size_t bytes = 0;
    for (uint32_t rank = 0; rank < world_size; ++rank) bytes += source->Share(0, rank, world_size, form)->ByteSizeLong();
    return bytes;
  };
  const size_t one = total(1, ShareForm()), many = total(64, ShareForm());
  const size_t former = total(64, kSlotsOfAllRanks);
  std::printf("256 queries: %zu bytes for 1 rank, %zu for 64; with the slots of all ranks %zu\n", one, many, former);
  EXPECT_LT(many, one + 64 * 100);
  EXPECT_GT(former, many + 64 * 256);
}

TEST(ShareSource, CutsAfterPromptAndTextBetweenClsAndSep) {
  auto dataset = std::make_shared<FakeDataset>();
  dataset->Query("w0 w1 w2 w3 w4");
  dataset->Judge(0, dataset->Document("a", "w10 w11", "w9"));
  muster::v1::JobSpec spec = TestJob();
  spec.mutable_model()->mutable_max_length()->set_query(6);
  spec.mutable_model()->mutable_prompts()->set_query("w20 w21 ");
  const StepShare share = *(*TestSource(dataset, spec))->Share(0, 0, 1);
  std::map<uint32_t, Tokens> by_slot;
  ASSERT_EQ(share.micro_batches_size(), 1);
  ASSERT_TRUE(Collect(share.micro_batches(0), by_slot));
  EXPECT_THAT(by_slot[0], ElementsAre(2, 24, 25, 4, 5, 3));    // [CLS] w20 w21 w0 w1 [SEP]
  EXPECT_THAT(by_slot[1], ElementsAre(2, 13, 14, 15, 3));      // [CLS] w9 w10 w11 [SEP]
}

TEST(ShareSource, PlansOnceForManyThreads) {
  const auto dataset = RandomDataset(17, 300, 100);
  const auto source = *TestSource(dataset, TestJob(32));
  std::vector<std::string> found(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] {
      for (uint64_t step = 0; step < 20; ++step) found[i] += DeterministicBytes(*source->Share(step, i % 4, 4));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 4; i < found.size(); ++i) EXPECT_EQ(found[i], found[i - 4]);
}

TEST(ShareSource, RefusesWhatCannotBe) {
  auto dataset = RandomDataset(17, 20, 20);
  muster::v1::JobSpec spec = TestJob();
  const auto source = *TestSource(dataset, spec);
  EXPECT_EQ(source->Share(0, 2, 2).status().code(), absl::StatusCode::kInvalidArgument);
  const auto evaluates = *ShareSource::Create({{}, {}, spec, {}});
  EXPECT_EQ(evaluates->Share(0, 0, 1).status().code(), absl::StatusCode::kFailedPrecondition);

  muster::v1::ResolvedJob resolved = Resolve(*dataset, spec);
  resolved.set_train_queries(resolved.train_queries() + 1);
  EXPECT_THAT(std::string(ShareSource::Create({{dataset}, {TestTokens(*dataset)}, spec, resolved}).status().message()),
              HasSubstr("Submit the job again"));
  spec.mutable_data()->set_split("dev");
  EXPECT_EQ(TestSource(dataset, spec).status().message(),
            "data.split: the dataset has no split \"dev\". It has: train, test.");
  spec = TestJob();
  spec.mutable_data()->mutable_positives()->set_min_grade(9);
  EXPECT_THAT(std::string(TestSource(dataset, spec).status().message()),
              StartsWith("data: no query of split \"train\" has a positive that may be selected."));
}

}  // namespace
}  // namespace muster
