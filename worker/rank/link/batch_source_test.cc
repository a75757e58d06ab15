#include "worker/rank/link/batch_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "worker/rank/device/testing/recording_streams.h"
#include "worker/rank/link/testing/fake_cluster.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing_streams::RecordingStreams;

constexpr absl::Duration kPatience = absl::Seconds(30);

std::unique_ptr<BatchSource> Source(const FakeCluster& cluster, uint64_t from, uint64_t total,
                                    std::shared_ptr<Streams> streams = std::make_shared<RecordingStreams>(),
                                    const EncoderConfig& config = ProblemConfig()) {
  muster::internal::v1::StreamRequest request;
  request.mutable_identity()->set_attempt(1);
  request.mutable_identity()->set_world_size(1);
  request.mutable_resolved()->set_total_steps(total);
  request.set_from_step(from);
  return BatchSource::Start(
      {.shares = ShareStream::Start({.server = cluster.Channel(), .request = request, .total_steps = total}),
       .config = config,
       .streams = std::move(streams)});
}

TEST(BatchSource, GivesEveryStepOnceInOrderAndEndsAfterTheLast) {
  FakeCluster cluster;
  cluster.data.break_after = 2;  // the stream begins again in between
  const auto source = Source(cluster, 3, 9);
  for (uint64_t step = 3; step < 9; ++step) {
    const auto next = source->Next(kPatience);
    ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
    EXPECT_EQ((*next)->batch.step, step);
    EXPECT_EQ((*next)->share.step(), step);
    EXPECT_EQ((*next)->share.micro_batches_size(), 0) << "the batch holds them";
    EXPECT_GT((*next)->batch.tokens, 0);
  }
  EXPECT_EQ(source->Next(kPatience).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(source->Next(kPatience).status().code(), absl::StatusCode::kOutOfRange) << "and stays so";
}

TEST(BatchSource, AFaultyShareIsReportedWhenItsStepIsAskedFor) {
  EncoderConfig config = ProblemConfig();
  config.max_positions = 16;
  const auto fits = [](uint64_t step) {
    return std::ranges::all_of(MakeProblem(step, false).tokens, [](const auto& ids) { return ids.size() <= 16; });
  };
  uint64_t from = 0;
  while (!fits(from) || fits(from + 1)) ++from;
  FakeCluster cluster;
  const auto source = Source(cluster, from, from + 3, std::make_shared<RecordingStreams>(), config);
  const auto good = source->Next(kPatience);
  ASSERT_TRUE(good.ok() && good->has_value()) << good.status();
  const absl::Status status = source->Next(kPatience).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("share of step " + std::to_string(from + 1)));
}

// The number of uploads shows how many batches were made.
class CountingStreams final : public Streams {
 public:
  std::unique_ptr<StreamEvent> Record(Lane lane) override {
    ++made;
    return inner_.Record(lane);
  }
  void Wait(Lane lane, const StreamEvent& event) override { inner_.Wait(lane, event); }
  bool Past(const StreamEvent& event) override { return inner_.Past(event); }
  double SecondsBetween(const StreamEvent& begin, const StreamEvent& end) override { return inner_.SecondsBetween(begin, end); }
  at::Tensor Upload(const at::Tensor& host) override { return inner_.Upload(host); }
  void WillRead(Lane lane, const at::Tensor& tensor) override { inner_.WillRead(lane, tensor); }
  std::atomic<uint64_t> made = 0;

 private:
  RecordingStreams inner_;
};

TEST(BatchSource, MakesOneStepAheadAndNoMore) {
  FakeCluster cluster;
  const auto streams = std::make_shared<CountingStreams>();
  const auto source = Source(cluster, 0, 20, streams);
  for (uint64_t taken = 0; taken < 20; ++taken) {
    EXPECT_LE(streams->made, taken + 1);
    const auto next = source->Next(kPatience);
    ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
  }
}

TEST(BatchSource, EndsWhenDroppedWhileTheServerIsSilent) {
  FakeCluster cluster;
  cluster.data.may_send = [](uint64_t, uint64_t step) { return step < 1; };
  const auto source = Source(cluster, 0, 5);
  ASSERT_TRUE((*source->Next(kPatience)).has_value());
  const auto none = source->Next(absl::Milliseconds(1));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->has_value()) << "nothing yet, and not an error";
}

TEST(BatchSource, AStaleAttemptEndsIt) {
  FakeCluster cluster;
  cluster.data.attempt = 2;
  EXPECT_EQ(Source(cluster, 0, 3)->Next(kPatience).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace muster
