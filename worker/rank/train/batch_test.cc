#include "worker/rank/train/batch.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "worker/rank/device/testing/recording_streams.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

using muster::internal::v1::StepShare;
using testing::HasSubstr;

StepShare Good() { return ShareOf(MakeProblem(1, false), 1, 2, 40); }

absl::Status Parse(const StepShare& share) {
  return BatchFromShare(share, ProblemConfig(), at::kCPU).status();
}

TEST(BatchFromShare, TakesAGoodShare) {
  const auto batch = BatchFromShare(Good(), ProblemConfig(), at::kCPU);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->positives.rows(), batch->row_end - batch->row_begin);
  EXPECT_GT(batch->tokens, 0);
}

TEST(BatchFromShare, MarksThePositivesThatNoisePutThere) {
  Problem problem = MakeProblem(1, false);
  const auto clean = BatchFromShare(ShareOf(problem, 0, 1, 40), ProblemConfig(), at::kCPU);
  ASSERT_TRUE(clean.ok()) << clean.status();
  EXPECT_FALSE(clean->has_noise);
  EXPECT_TRUE(clean->noise.empty());
  problem.noisy = true;
  StepShare share = ShareOf(problem, 0, 1, 40);
  const auto noisy = BatchFromShare(share, ProblemConfig(), at::kCPU);
  ASSERT_TRUE(noisy.ok()) << noisy.status();
  EXPECT_TRUE(noisy->has_noise);
  ASSERT_EQ(noisy->noise.size(), noisy->positives.columns.size());
  for (int64_t row = 0; row < noisy->positives.rows(); ++row) {
    for (int64_t e = noisy->positives.begin(row); e < noisy->positives.end(row); ++e) {
      EXPECT_EQ(noisy->noise[e] != 0, IsNoise(static_cast<uint32_t>(row), static_cast<uint32_t>(noisy->positives.columns[e])));
    }
  }
  share.add_noise_positives(static_cast<uint32_t>(share.positives_size()));
  EXPECT_THAT(std::string(Parse(share).message()), HasSubstr("noise_positives: "));
}

// The share with its tokens in 16 bits.
StepShare Narrow(StepShare share) {
  for (auto& micro : *share.mutable_micro_batches()) {
    for (size_t i = 0; i < micro.tokens().size(); i += 4) micro.mutable_narrow_tokens()->append(micro.tokens(), i, 2);
    micro.clear_tokens();
  }
  return share;
}

TEST(BatchFromShare, TakesTokensOf16Bits) {
  const auto wide = BatchFromShare(Good(), ProblemConfig(), at::kCPU);
  const auto narrow = BatchFromShare(Narrow(Good()), ProblemConfig(), at::kCPU);
  ASSERT_TRUE(wide.ok() && narrow.ok()) << narrow.status();
  ASSERT_EQ(narrow->micro_batches.size(), wide->micro_batches.size());
  for (size_t i = 0; i < wide->micro_batches.size(); ++i) {
    EXPECT_TRUE(at::equal(narrow->micro_batches[i].tokens, wide->micro_batches[i].tokens));
  }
}

// Leaves out all tokens but the last in each sequence of the first micro-batch.
muster::internal::v1::MicroBatch& LeaveOutAllButTheLast(StepShare& share) {
  muster::internal::v1::MicroBatch& micro = *share.mutable_micro_batches(0);
  for (const uint32_t length : micro.lengths()) micro.add_unpooled(length - 1);
  return micro;
}

TEST(BatchFromShare, TakesPromptsThatLeaveATokenToPool) {
  StepShare share = Good();
  const auto& sent = LeaveOutAllButTheLast(share);
  const auto batch = BatchFromShare(share, ProblemConfig(), at::kCPU);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_THAT(batch->micro_batches[0].unpooled, testing::ElementsAreArray(sent.unpooled()));
}

// One more passage in the list of the share's last row.
void Teach(StepShare& share, uint32_t column, float score) {
  const auto rows = static_cast<int>(share.row_end() - share.row_begin());
  while (share.teacher_offsets_size() <= rows) share.add_teacher_offsets(0);
  share.add_teacher_columns(column);
  share.add_teacher_scores(score);
  share.set_teacher_offsets(rows, share.teacher_columns_size());
}

TEST(BatchFromShare, TakesTheScoresOfATeacher) {
  StepShare share = Good();
  EXPECT_EQ(BatchFromShare(share, ProblemConfig(), at::kCPU)->teacher_lists.rows(), 0) << "it has none";
  Teach(share, 3, 0.5f);
  Teach(share, 16, -2);
  const auto batch = BatchFromShare(share, ProblemConfig(), at::kCPU);
  ASSERT_TRUE(batch.ok()) << batch.status();
  const int64_t last = batch->row_end - batch->row_begin - 1;
  EXPECT_EQ(batch->teacher_lists.rows(), last + 1);
  EXPECT_EQ(batch->teacher_lists.begin(last), 0);
  EXPECT_THAT(batch->teacher_lists.columns, testing::ElementsAre(3, 16));
  EXPECT_THAT(batch->teacher_scores, testing::ElementsAre(0.5, -2));
}

TEST(BatchFromShare, RefusesWhatIsOutOfRange) {
  const std::vector<std::pair<std::string, std::function<void(StepShare&)>>> wrongs = {
      {"token 50", [](StepShare& s) { (*s.mutable_micro_batches(0)->mutable_tokens())[0] = 50; }},
      {"token 4278190", [](StepShare& s) { (*s.mutable_micro_batches(0)->mutable_tokens())[3] = '\xff'; }},
      {"bytes of tokens", [](StepShare& s) { s.mutable_micro_batches(0)->mutable_tokens()->pop_back(); }},
      {"bytes of tokens", [](StepShare& s) { s = Narrow(s), s.mutable_micro_batches(0)->mutable_narrow_tokens()->pop_back(); }},
      {"token 50", [](StepShare& s) { s = Narrow(s), (*s.mutable_micro_batches(0)->mutable_narrow_tokens())[0] = 50; }},
      {"of 16 and of 32 bits", [](StepShare& s) { s.mutable_micro_batches(0)->set_narrow_tokens("xx"); }},
      {"a sequence of 0 tokens", [](StepShare& s) { s.mutable_micro_batches(0)->set_lengths(0, 0); }},
      {"slot 24 of 24", [](StepShare& s) { s.mutable_micro_batches(0)->set_slots(0, 24); }},
      {"lengths and slots", [](StepShare& s) { s.mutable_micro_batches(0)->add_slots(0); }},
      {"unpooled of 1 sequences", [](StepShare& s) { s.mutable_micro_batches(0)->add_unpooled(0); }},
      {"unpooled of ", [](StepShare& s) { LeaveOutAllButTheLast(s).add_unpooled(0); }},
      {"which has no embedding then",
       [](StepShare& s) { LeaveOutAllButTheLast(s).set_unpooled(0, s.micro_batches(0).lengths(0)); }},
      {"leaves out 4294967295 tokens", [](StepShare& s) { LeaveOutAllButTheLast(s).set_unpooled(0, ~uint32_t{0}); }},
      {"rows", [](StepShare& s) { s.set_row_end(8); }},
      {"positive: column 17 of 17", [](StepShare& s) { s.set_positives(0, 17); }},
      {"positive_offsets", [](StepShare& s) { s.set_positive_offsets(1, 1000); }},
      {"ignored_offsets", [](StepShare& s) { s.add_ignored_offsets(0); }},
      {"names a column twice", [](StepShare& s) { s.set_positives(1, s.positives(0)), s.set_positive_offsets(1, 2); }},
      {"row_weights", [](StepShare& s) { s.set_row_weights(0, -1); }},
      {"row_weights", [](StepShare& s) { s.set_row_weights(0, NAN); }},
      {"positive_weights", [](StepShare& s) { s.add_positive_weights(1); }},
      {"total_weight", [](StepShare& s) { s.set_total_weight(NAN); }},
      {"teacher: column 17 of 17", [](StepShare& s) { Teach(s, 17, 1); }},
      {"teacher_offsets", [](StepShare& s) { Teach(s, 0, 1), s.add_teacher_offsets(1); }},
      {"teacher_scores: nan", [](StepShare& s) { Teach(s, 0, NAN); }},
      {"teacher_scores", [](StepShare& s) { Teach(s, 0, 1), s.add_teacher_scores(1); }},
      {"teacher_scores", [](StepShare& s) { s.add_teacher_scores(1); }},
      {"names a column twice",
       [](StepShare& s) {
         Teach(s, 0, 1), Teach(s, 0, 1);
       }},
  };
  for (const auto& [message, spoil] : wrongs) {
    StepShare share = Good();
    spoil(share);
    const absl::Status status = Parse(share);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_THAT(std::string(status.message()), HasSubstr("share of step 3"));
  }
}

// On a GPU the copies run in a separate stream, concurrently with the step.
TEST(Upload, TheStepReadsTokensOnlyAfterTheEventOfTheirUpload) {
  testing_streams::RecordingStreams streams;
  auto batch = HostBatchFromShare(Good(), ProblemConfig(), /*pinned=*/false);
  ASSERT_TRUE(batch.ok()) << batch.status();
  Upload(*batch, streams);
  AwaitUpload(*batch, streams);
  EXPECT_THAT(streams.faults(), testing::IsEmpty());
  EXPECT_EQ(streams.reads(), batch->micro_batches.size());
}

// Checks that the test double notices a missing event.
TEST(Upload, AWaitForTheEventOfAnotherStreamIsFound) {
  testing_streams::RecordingStreams streams;
  auto batch = HostBatchFromShare(Good(), ProblemConfig(), /*pinned=*/false);
  ASSERT_TRUE(batch.ok()) << batch.status();
  Upload(*batch, streams);
  batch->uploaded = streams.Record(Lane::kCompute);
  AwaitUpload(*batch, streams);
  EXPECT_EQ(streams.faults().size(), batch->micro_batches.size());
}

}  // namespace
}  // namespace muster
