// A step's traffic: one reduction of the gradients, and no byte of embeddings that a rank does not need.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/rank/collective/testing/counting_ranks.h"
#include "worker/rank/collective/testing/starting_group.h"
#include "worker/rank/train/embedding_gather.h"
#include "worker/rank/train/testing/trained_step.h"

namespace muster {
namespace {

[[maybe_unused]] const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

// Ranks encode different numbers of sequences here: padding to the largest would show.
TEST(StepTraffic, IsTheLeastPossibleAndGradientsAreReducedOnce) {
  const Problem problem = MakeProblem(5, false);
  for (const int64_t world : {2, 3, 4}) {
    const auto statuses = RunCountedRanks(world, [&](Group& group, const Traffic& traffic) -> absl::Status {
      auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
      TrainerOptions options = ProblemOptions(muster::v1::OBJECTIVE_JOINTLH, 0.1);
      options.keep_activations = 60000;
      Trainer trainer(**encoder, group, RealClock(), options);
      const auto batch = BatchFromShare(ShareOf(problem, group.rank(), world, 40), ProblemConfig(), at::kCPU);
      const auto report = trainer.Step(*batch);
      if (!report.ok()) return report.status();
      double gradients = 0;
      for (const at::Tensor& gradient : trainer.gradients()) gradients += static_cast<double>(gradient.nbytes());
      const double row = ProblemConfig().hidden_size * 4.0;
      const double all = static_cast<double>(batch->query_count + batch->passage_count);
      double own = 0;
      for (const PackedBatch& micro : batch->micro_batches) own += static_cast<double>(micro.size());
      const double least_gathered = (all - own) * row, least_scattered = (world - 1) * own * row;
      EXPECT_GE(traffic.gathered, least_gathered);
      EXPECT_LE(traffic.gathered, 1.05 * least_gathered);
      EXPECT_GE(traffic.scattered, least_scattered);
      EXPECT_LE(traffic.scattered, 1.05 * least_scattered);
      EXPECT_GE(traffic.reduced_tensors, gradients);
      EXPECT_LE(traffic.reduced_tensors, 1.05 * gradients) << "each gradient is summed once";
      EXPECT_LE(traffic.reduced, 1.05 * 2 * gradients * (world - 1) / world);
      EXPECT_EQ(traffic.scatters, 1);
      EXPECT_EQ(traffic.exchanges, 3) << "plans before encoding, tallies after the loss, the norm before the update";
      return absl::OkStatus();
    });
    for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(EmbeddingGather, ChunksCoverEveryRowOnceWhateverTheCounts) {
  for (const int64_t count : {0, 1, 5, 16, 17, 1000}) {
    for (const int64_t chunks : {1, 3, 16}) {
      int64_t next = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const auto [first, last] = RowsOfChunk(count, chunk, chunks);
        EXPECT_EQ(first, next);
        EXPECT_LE(first, last);
        next = last;
      }
      EXPECT_EQ(next, count);
    }
  }
  EXPECT_EQ(GatherChunks(1000), 1);
  EXPECT_EQ(GatherChunks(5 * kChunkBytes), 5);
  EXPECT_EQ(GatherChunks(1000 * kChunkBytes), kMostChunks);
}

TEST(EmbeddingGather, AChunkStartsWhenItsRowsAreEncodedAndNotBefore) {
  StartingGroup group;
  const std::vector<int64_t> counts = {8, 3};
  EmbeddingGather gather(group, counts, 4, at::kFloat, 4);
  gather.Encoded(1);
  EXPECT_EQ(group.gathers, 0);
  gather.Encoded(5);
  EXPECT_EQ(group.rows, 4);
  EXPECT_EQ(group.gathers, 2);
  ASSERT_TRUE(gather.Finish().ok());
  EXPECT_EQ(group.rows, 8);
  EXPECT_EQ(group.gathers, 4);
}

TEST(EmbeddingGather, GivesTheSameBytesForAnyNumberOfChunksAndAnyCutOfTheEncoding) {
  const std::vector<int64_t> counts = {5, 0, 11};
  for (const absl::Status& status : RunInProcessRanks(3, [&](Group& group) -> absl::Status {
         const int64_t own = counts[group.rank()];
         const at::Tensor rows = at::rand({own, 6}, at::kFloat) + static_cast<double>(group.rank());
         const auto expected = group.AllGatherRows(rows, counts);
         if (!expected.ok()) return expected.status();
         for (const int64_t chunks : {1, 2, 7, 16}) {
           EmbeddingGather gather(group, counts, 6, at::kFloat, chunks);
           gather.own_rows().copy_(rows);
           // The ranks report progress at different places.
           for (int64_t done = group.rank() + 1; done < own; done += group.rank() + 1) gather.Encoded(done);
           const auto all = gather.Finish();
           if (!all.ok()) return all.status();
           EXPECT_TRUE(at::equal(*all, *expected)) << chunks << " chunks";
         }
         return absl::OkStatus();
       })) {
    EXPECT_TRUE(status.ok()) << status;
  }
}

}  // namespace
}  // namespace muster
