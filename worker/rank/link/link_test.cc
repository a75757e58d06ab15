#include <ATen/ops/full.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <optional>
#include <thread>

#include "worker/rank/collective/join.h"
#include "worker/rank/link/activity_reporter.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/link/evaluation_stream.h"
#include "worker/rank/link/grpc_store.h"
#include "worker/rank/link/progress.h"
#include "worker/rank/link/share_stream.h"
#include "worker/rank/link/testing/fake_cluster.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(GrpcStore, BringsAGlooGroupTogether) {
  FakeCluster cluster;
  std::vector<absl::Status> statuses(3);
  std::vector<float> sums(3);
  std::vector<std::thread> ranks;
  for (int64_t rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([&, rank] {
      auto group = JoinGlooGroup({.store = MakeGrpcStore(cluster.Channel(), "job", 1), .rank = rank, .world_size = 3});
      if (!group.ok()) {
        statuses[rank] = group.status();
        return;
      }
      std::vector<at::Tensor> tensors = {at::full({1}, static_cast<double>(rank + 1), at::kFloat)};
      statuses[rank] = (*group)->AllReduceSum(tensors);
      sums[rank] = tensors[0].item<float>();
    });
  }
  for (std::thread& rank : ranks) rank.join();
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(sums, ElementsAre(6, 6, 6));
}

TEST(GrpcStore, KeepsWhatC10dAsksOfAStore) {
  FakeCluster cluster;
  auto store = MakeGrpcStore(cluster.Channel(), "job", 1);
  store->set("a", std::vector<uint8_t>{1, 0, 2});
  EXPECT_THAT(store->get("a"), ElementsAre(1, 0, 2));
  EXPECT_TRUE(store->check({"a"}));
  EXPECT_FALSE(store->check({"a", "b"}));
  EXPECT_EQ(store->add("n", 2), 2);
  EXPECT_EQ(store->add("n", 3), 5);
  EXPECT_THAT(store->compareSet("c", std::vector<uint8_t>{}, std::vector<uint8_t>{7}), ElementsAre(7));
  EXPECT_THAT(store->compareSet("c", std::vector<uint8_t>{1}, std::vector<uint8_t>{8}), ElementsAre(7));
  EXPECT_EQ(store->getNumKeys(), 3);
  EXPECT_TRUE(store->deleteKey("a"));
  EXPECT_FALSE(store->deleteKey("a"));
  store->setTimeout(std::chrono::milliseconds(50));
  EXPECT_THROW(store->get("absent"), c10::DistStoreError);
  EXPECT_THROW(store->wait({"n", "absent"}), c10::DistStoreError);
}

TEST(GrpcStore, AStaleAttemptCannotMeet) {
  FakeCluster cluster;
  const auto group = JoinGlooGroup({.store = MakeGrpcStore(cluster.Channel(), "job", 2), .rank = 0, .world_size = 2});
  EXPECT_EQ(group.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(group.status().message()), HasSubstr("stale"));
}

ShareStream::Options StreamOptions(const FakeCluster& cluster, uint64_t from, uint64_t total) {
  muster::internal::v1::StreamRequest request;
  request.mutable_identity()->set_attempt(1);
  request.mutable_identity()->set_world_size(1);
  request.mutable_resolved()->set_total_steps(total);
  request.set_from_step(from);
  return {.server = cluster.Channel(), .request = request, .total_steps = total};
}

TEST(ShareStream, ContinuesFromTheStepThatItNeedsWhenTheStreamBreaks) {
  FakeCluster cluster;
  cluster.data.break_after = 2;
  const auto stream = ShareStream::Start(StreamOptions(cluster, 3, 8));
  for (uint64_t step = 3; step < 8; ++step) {
    const auto share = stream->Next(absl::Seconds(30));
    ASSERT_TRUE(share.ok() && share->has_value()) << share.status();
    EXPECT_EQ((*share)->step(), step);
  }
  EXPECT_EQ(stream->Next(absl::Seconds(30)).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(cluster.data.asked(), ElementsAre(3, 5, 7));
}

TEST(ShareStream, ReadsAheadOneStepAtLeastAndEndsWhenDropped) {
  FakeCluster cluster;
  ShareStream::Options options = StreamOptions(cluster, 0, 1000);
  options.read_ahead_bytes = 1;
  const auto stream = ShareStream::Start(options);
  for (uint64_t step = 0; step < 5; ++step) EXPECT_EQ((**stream->Next(absl::Seconds(30))).step(), step);
}

TEST(ShareStream, AStaleAttemptEndsIt) {
  FakeCluster cluster;
  cluster.data.attempt = 2;
  const auto stream = ShareStream::Start(StreamOptions(cluster, 0, 3));
  EXPECT_EQ(stream->Next(absl::Seconds(30)).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(EvaluationStream, ContinuesWhereItBroke) {
  FakeCluster cluster;
  cluster.data.break_after = 1;  // in the middle of the 24 sequences
  muster::internal::v1::StreamEvaluationRequest request;
  request.mutable_identity()->set_attempt(1);
  request.mutable_identity()->set_world_size(1);
  auto source = OpenEvaluation(cluster.Channel(), request);
  ASSERT_TRUE(source.ok()) << source.status();
  std::vector<uint32_t> slots;
  muster::internal::v1::MicroBatch micro;
  cluster.data.break_after = 0;
  while (*source->next(&micro)) slots.push_back(micro.slots(0));
  EXPECT_EQ(slots, SlotsOfRank(MakeProblem(1000, false), 0, 1));
}

struct Pipe {
  Pipe() {
    std::signal(SIGPIPE, SIG_IGN);
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  }
  int ends[2];
};

TEST(AgentPipe, FramesMessagesOfSeveralThreads) {
  Pipe pipe;
  AgentPipe agent(pipe.ends[1]);
  std::vector<std::thread> writers;
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 50; ++i) {
        muster::rank::v1::RankMessage message;
        message.mutable_result()->set_message(std::string(1000 * w + i, 'x'));
        EXPECT_TRUE(agent.Send(message).ok());
      }
    });
  }
  google::protobuf::io::FileInputStream stream(pipe.ends[0]);
  size_t total = 0;
  for (int i = 0; i < 150; ++i) {
    muster::rank::v1::RankMessage message;
    ASSERT_TRUE(google::protobuf::util::ParseDelimitedFromZeroCopyStream(&message, &stream, nullptr));
    total += message.result().message().size();
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(total, 3 * 1225 + 50 * 1000 + 50 * 2000);
}

TEST(AgentPipe, NoticesThatTheAgentIsGone) {
  Pipe pipe;
  AgentPipe agent(pipe.ends[1]);
  std::thread watcher([&] { agent.WaitUntilClosed(); });
  close(pipe.ends[0]);
  watcher.join();
  EXPECT_EQ(agent.Send({}).code(), absl::StatusCode::kUnavailable);
}

TEST(ActivityReporter, SendsChangesAndReportsEvenIfNothingChanges) {
  Pipe pipe;
  AgentPipe agent(pipe.ends[1]);
  ActivityBoard board;
  board.SetActivity("loading the model");
  std::atomic<bool> away = false;
  std::optional<ActivityReporter> reporter;
  reporter.emplace(agent, board,
                   ActivityReporter::Options{.rank = 3,
                                             .unreachable = [&] { return away ? "data server d:1" : ""; },
                                             .check_every = absl::Milliseconds(1),
                                             .report_every = absl::Milliseconds(5)});
  google::protobuf::io::FileInputStream stream(pipe.ends[0]);
  muster::rank::v1::RankMessage message;
  const auto next = [&] { return google::protobuf::util::ParseDelimitedFromZeroCopyStream(&message, &stream, nullptr); };
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(next());
    EXPECT_EQ(message.activity().phase(), "loading the model");
    EXPECT_EQ(message.activity().rank(), 3);
  }
  board.SetStep(7);
  board.SetPhase("encode");
  board.BeginCollective("gather");
  while (message.activity().phase() != "gather") ASSERT_TRUE(next());
  EXPECT_EQ(message.activity().step(), 7);
  EXPECT_TRUE(message.activity().in_collective());
  EXPECT_EQ(message.activity().collectives(), 1);
  away = true;
  while (message.activity().unreachable().empty()) ASSERT_TRUE(next());
  EXPECT_EQ(message.activity().unreachable(), "data server d:1");
  reporter.reset();
}

TEST(ProgressReporter, SendsAtMostFiveTimesPerSecondAndAlwaysTheLast) {
  Pipe pipe;
  AgentPipe agent(pipe.ends[1]);
  FakeClock clock;
  muster::rank::v1::RankConfig config;
  config.mutable_resolved()->set_total_steps(100);
  config.mutable_resolved()->set_steps_per_epoch(50);
  ActivityBoard board;
  ProgressReporter reporter(config, agent, clock, board);
  for (uint64_t step = 1; step <= 100; ++step) {
    clock.Advance(absl::Milliseconds(10));
    reporter.Step({.queries = 32, .tokens = 1000}, step, 0.01, step == 100);
  }
  close(pipe.ends[1]);
  google::protobuf::io::FileInputStream stream(pipe.ends[0]);
  std::vector<uint64_t> steps;
  muster::rank::v1::RankMessage message;
  while (google::protobuf::util::ParseDelimitedFromZeroCopyStream(&message, &stream, nullptr)) {
    steps.push_back(message.progress().step());
  }
  EXPECT_THAT(steps, ElementsAre(1, 21, 41, 61, 81, 100));
  EXPECT_EQ(message.progress().epoch(), 2);
  EXPECT_NEAR(message.progress().queries_per_second(), 3200, 1e-6);
}

}  // namespace
}  // namespace muster
