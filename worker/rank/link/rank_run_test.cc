// Whole runs of ranks, as threads, against the fake cluster.
#include "worker/rank/link/rank_run.h"

#include <ATen/Parallel.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files.h"
#include "common/rpc/blobs.h"
#include "common/spec/job_spec.h"
#include "worker/rank/link/fake_cluster.h"

namespace muster {
namespace {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;
using muster::rank::v1::RankResult;

struct Ended {
  RankResult result;
  std::vector<RankMessage> messages;
  std::vector<std::string> Labels() const {
    std::vector<std::string> labels;
    for (const RankMessage& message : messages) {
      if (message.has_evaluation()) labels.push_back(message.evaluation().label());
    }
    return labels;
  }
  std::vector<muster::v1::CheckpointInfo> Checkpoints() const {
    std::vector<muster::v1::CheckpointInfo> checkpoints;
    for (const RankMessage& message : messages) {
      if (message.has_checkpoint()) checkpoints.insert(checkpoints.begin(), message.checkpoint().checkpoint());
    }
    return checkpoints;
  }
  std::vector<std::string> Epochs() const {
    std::vector<std::string> epochs;
    for (const RankMessage& message : messages) {
      if (!message.has_epoch_closed()) continue;
      const muster::v1::EpochClosed& closed = message.epoch_closed();
      epochs.push_back(absl::StrCat(closed.epoch(), ": ", closed.committed() > 0 ? "some" : "none", " ",
                                    closed.duplicated(), " ", closed.missing()));
    }
    return epochs;
  }
  std::string Manifest() const {
    for (const RankMessage& message : messages) {
      if (message.has_exported()) return message.exported().manifest();
    }
    return "";
  }
};

class RunRankTest : public testing::Test {
 protected:
  RunRankTest() : folder_(*MakeScratchFolder(testing::TempDir(), "rank")), blobs_(cluster_.Channel()) {
    std::signal(SIGPIPE, SIG_IGN);
    at::set_num_threads(1);
    std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (int i = 5; i < 50; ++i) absl::StrAppend(&vocabulary, "word", i, "\n");
    std::filesystem::create_directories(folder_ / "tokenizer");
    EXPECT_TRUE(WriteFileAtomically(folder_ / "tokenizer" / "vocab.txt", vocabulary).ok());
    config_.set_job_id("job-1");
    config_.set_attempt(1);
    config_.set_device("cpu");
    config_.set_coordinator_address(cluster_.address());
    config_.add_data_addresses(cluster_.address());
    config_.set_cache((folder_ / "cache").string());
    config_.mutable_resolved()->set_total_steps(6);
    config_.mutable_resolved()->set_steps_per_epoch(3);
    config_.mutable_resolved()->set_vocabulary_size(50);
    config_.mutable_resolved()->set_tokenizer_manifest(
        *blobs_.PutManifest(*blobs_.PutFolder(folder_ / "tokenizer")));
    auto& spec = *config_.mutable_spec();
    spec.set_name("small");
    spec.mutable_model()->set_preset("tiny");
    spec.mutable_evaluate()->set_dataset("d");
    spec.mutable_evaluate()->set_every_steps(2);
    spec.mutable_evaluate()->set_metric("mrr@5");
    spec.mutable_report()->set_dataset("d");
    spec.mutable_checkpoint()->set_every_steps(2);
    spec.mutable_optimizer()->set_learning_rate(1e-3);
    spec.mutable_duration()->set_steps(6);
    FillDefaults(spec);
  }
  ~RunRankTest() override { std::filesystem::remove_all(folder_); }

  std::vector<Ended> Run(RankConfig config, uint32_t world_size) {
    config.set_world_size(world_size);
    cluster_.rendezvous.Clear();
    ++runs_;
    std::vector<Ended> ended(world_size);
    std::vector<std::thread> ranks;
    for (uint32_t rank = 0; rank < world_size; ++rank) {
      ranks.emplace_back([&, rank] {
        RankConfig own = config;
        own.set_rank(rank);
        own.set_scratch((folder_ / absl::StrCat("scratch-", runs_, "-", rank)).string());
        std::filesystem::create_directories(own.scratch());
        ended[rank] = RunOne(own);
      });
    }
    for (std::thread& rank : ranks) rank.join();
    return ended;
  }

  Ended RunOne(const RankConfig& config) {
    Ended ended;
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    std::thread reader([&] {
      google::protobuf::io::FileInputStream stream(ends[0]);
      RankMessage message;
      while (google::protobuf::util::ParseDelimitedFromZeroCopyStream(&message, &stream, nullptr)) {
        ended.messages.push_back(message);
        if (on_message_) on_message_(message);
      }
    });
    {
      AgentPipe agent(ends[1]);
      ended.result = RunRank(config, agent, RealClock(), stop_);
    }
    close(ends[1]);
    reader.join();
    close(ends[0]);
    return ended;
  }

  std::string ModelDigest(const Ended& ended) {
    const auto manifest = blobs_.GetManifest(ended.Manifest());
    if (!manifest.ok()) return std::string(manifest.status().message());
    for (const auto& file : manifest->files()) {
      if (file.path() == "model.safetensors") return file.digest();
    }
    return "no model.safetensors";
  }

  // The attempt of each step in the step log of the newest checkpoint, in the order of its lines.
  std::vector<std::string> AttemptsOfSteps(const Ended& ended) {
    const auto manifest = blobs_.GetManifest(ended.Checkpoints().front().manifest());
    if (!manifest.ok()) return {std::string(manifest.status().message())};
    for (const auto& file : manifest->files()) {
      if (file.path() != "steps.csv") continue;
      std::vector<std::string> found;
      const std::vector<std::string> lines = absl::StrSplit(*blobs_.GetBytes(file.digest()), '\n', absl::SkipEmpty());
      for (const std::string& line : lines) {
        const std::vector<std::string> values = absl::StrSplit(line, ',');
        if (values[0] != "step") found.push_back(absl::StrCat(values[0], " by ", values[1]));
      }
      return found;
    }
    return {"no steps.csv"};
  }

  const std::filesystem::path folder_;
  FakeCluster cluster_;
  BlobClient blobs_;
  RankConfig config_;
  std::atomic<StopRequest> stop_ = StopRequest::kNone;
  std::function<void(const RankMessage&)> on_message_;  // called while the rank runs
  int runs_ = 0;
};

TEST_F(RunRankTest, TrainsEvaluatesCheckpointsAndExports) {
  for (const uint32_t world_size : {1, 2}) {
    const std::vector<Ended> ended = Run(config_, world_size);
    for (const Ended& one : ended) {
      EXPECT_EQ(one.result.cause(), muster::v1::EXIT_CAUSE_SUCCESS) << one.result.message();
    }
    EXPECT_THAT(ended[0].Labels(), testing::ElementsAre("untrained", "step-2", "step-4", "step-6", "trained"));
    ASSERT_EQ(ended[0].Checkpoints().size(), 3);
    EXPECT_EQ(ended[0].Checkpoints()[0].step(), 6);
    EXPECT_EQ(ModelDigest(ended[0]).size(), 64) << ModelDigest(ended[0]);
  }
}

TEST_F(RunRankTest, AResumedJobExportsTheBytesOfAnUndisturbedOneAndSkipsABrokenCheckpoint) {
  const Ended whole = Run(config_, 2)[0];
  const auto checkpoints = whole.Checkpoints();
  ASSERT_EQ(checkpoints.size(), 3) << whole.result.message();
  RankConfig resumed = config_;
  resumed.set_attempt(2);
  cluster_.rendezvous.attempt = cluster_.data.attempt = 2;
  *resumed.add_checkpoints() = checkpoints[1];
  *resumed.add_checkpoints() = checkpoints[2];
  cluster_.blobs.Forget(checkpoints[1].manifest());  // that of step 4 is gone
  const Ended again = Run(resumed, 2)[0];
  EXPECT_EQ(again.result.cause(), muster::v1::EXIT_CAUSE_SUCCESS) << again.result.message();
  EXPECT_THAT(again.Labels(), testing::ElementsAre("step-4", "step-6", "trained"));
  EXPECT_EQ(ModelDigest(again), ModelDigest(whole));
  EXPECT_EQ(again.Manifest(), whole.Manifest()) << "the model card too";
  EXPECT_THAT(AttemptsOfSteps(whole),
              testing::ElementsAre("1 by 1", "2 by 1", "3 by 1", "4 by 1", "5 by 1", "6 by 1"));
  EXPECT_THAT(AttemptsOfSteps(again),
              testing::ElementsAre("1 by 1", "2 by 1", "3 by 2", "4 by 2", "5 by 2", "6 by 2"));
}

TEST_F(RunRankTest, WithNoWholeCheckpointStartsAgainWithAnEmptyStepLog) {
  const Ended whole = Run(config_, 1)[0];
  RankConfig resumed = config_;
  resumed.set_attempt(2);
  cluster_.rendezvous.attempt = cluster_.data.attempt = 2;
  for (const auto& checkpoint : whole.Checkpoints()) {
    *resumed.add_checkpoints() = checkpoint;
    cluster_.blobs.Forget(checkpoint.manifest());
  }
  const Ended again = Run(resumed, 1)[0];
  EXPECT_EQ(ModelDigest(again), ModelDigest(whole));
  EXPECT_THAT(AttemptsOfSteps(again),
              testing::ElementsAre("1 by 2", "2 by 2", "3 by 2", "4 by 2", "5 by 2", "6 by 2"));
}

TEST_F(RunRankTest, LogsTheQueriesOfEachStepIfAskedTo) {
  config_.set_audit((folder_ / "audit").string());
  ASSERT_EQ(Run(config_, 2)[0].result.cause(), muster::v1::EXIT_CAUSE_SUCCESS);
  for (const int rank : {0, 1}) {
    const auto log = ReadFile(folder_ / "audit" / absl::StrCat("job-1-a1-r", rank, ".audit"));
    ASSERT_TRUE(log.ok()) << log.status();
    const std::vector<std::string> lines = absl::StrSplit(*log, '\n', absl::SkipEmpty());
    ASSERT_EQ(lines.size(), 7);
    EXPECT_EQ(lines[0], absl::StrCat("muster-audit 1 job-1 1 ", rank, " 2"));
    EXPECT_THAT(lines[6], testing::StartsWith("6 "));
  }
}

TEST_F(RunRankTest, ClosesTheLedgerOfEachEpochAndFindsAQueryThatWasAnother) {
  for (const uint32_t world_size : {1, 2}) {
    cluster_.data.other_query = false;
    std::vector<Ended> ended = Run(config_, world_size);
    EXPECT_THAT(ended[0].Epochs(), testing::ElementsAre("0: some 0 0", "1: some 0 0"));
    EXPECT_THAT(ended.back().Epochs(), testing::SizeIs(world_size == 1 ? 2 : 0)) << "rank 0 alone tells";
    cluster_.data.other_query = true;
    ended = Run(config_, world_size);
    EXPECT_EQ(ended[0].result.cause(), muster::v1::EXIT_CAUSE_SUCCESS) << ended[0].result.message();
    EXPECT_THAT(ended[0].Epochs(), testing::ElementsAre("0: some 1 1", "1: some 0 0"));
  }
}

TEST_F(RunRankTest, TheLedgerGoesOnFromACheckpointInTheMiddleOfAnEpoch) {
  const Ended whole = Run(config_, 2)[0];
  RankConfig resumed = config_;
  resumed.set_attempt(2);
  cluster_.rendezvous.attempt = cluster_.data.attempt = 2;
  *resumed.add_checkpoints() = whole.Checkpoints().back();  // of step 2, where an epoch has 3
  EXPECT_GT(whole.Checkpoints().back().seconds(), 0);
  EXPECT_THAT(Run(resumed, 1)[0].Epochs(), testing::ElementsAre("0: some 0 0", "1: some 0 0"));
}

// Whatever a rank is about to do, it waits for the data server, says so, and goes on as if nothing had happened.
TEST_F(RunRankTest, ADataServerThatIsAwayEndsNothing) {
  const Ended whole = Run(config_, 1)[0];
  // Before the first download; before the stream of shares; in the middle, with a checkpoint to put; after the last step.
  for (const std::string after : {"", "untrained", "step-2", "step-6"}) {
    std::vector<std::string> waited;
    on_message_ = [&](const RankMessage& message) {
      if (message.has_evaluation() && message.evaluation().label() == after) cluster_.Stop();
      if (cluster_.server != nullptr || message.activity().unreachable().empty()) return;
      waited.push_back(message.activity().unreachable());
      cluster_.Restart();
    };
    std::filesystem::remove_all(folder_ / "cache");
    if (after.empty()) cluster_.Stop();
    const Ended ended = Run(config_, 1)[0];
    EXPECT_EQ(ended.result.cause(), muster::v1::EXIT_CAUSE_SUCCESS) << after << ": " << ended.result.message();
    EXPECT_THAT(waited, testing::ElementsAre(absl::StrCat("data server ", cluster_.address()))) << after;
    EXPECT_EQ(ended.Manifest(), whole.Manifest()) << after;
    EXPECT_EQ(ended.Checkpoints().size(), 3) << after;
  }
}

TEST_F(RunRankTest, SaysWhenAndWhyItStoppedEarly) {
  config_.mutable_spec()->mutable_optimizer()->set_learning_rate(0);  // no evaluation is better than the first
  config_.mutable_spec()->mutable_evaluate()->mutable_early_stop()->set_patience(1);
  for (const Ended& ended : Run(config_, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
    for (const RankMessage& message : ended.messages) {
      if (!message.has_exported()) continue;
      const muster::v1::StoppedEarly& stopped = message.exported().stopped_early();
      EXPECT_EQ(stopped.step(), 4);
      EXPECT_EQ(stopped.best_step(), 2);
      EXPECT_EQ(stopped.patience(), 1);
      EXPECT_EQ(stopped.metric(), "mrr@5");
      EXPECT_GT(stopped.best(), 0);
    }
  }
}

TEST_F(RunRankTest, EveryRankSaysWhereItIs) {
  for (const Ended& ended : Run(config_, 2)) {
    uint64_t step = 0, collectives = 0;
    for (const RankMessage& message : ended.messages) {
      if (!message.has_activity()) continue;
      EXPECT_FALSE(message.activity().phase().empty());
      EXPECT_GE(message.activity().collectives(), collectives) << "counts";
      collectives = message.activity().collectives();
      step = message.activity().step();
    }
    EXPECT_GT(collectives, 0);
    EXPECT_LE(step, 6);
  }
}

TEST_F(RunRankTest, RanksWithOtherPlansEndWithDisagreement) {
  cluster_.data.other_plan = true;
  for (const Ended& ended : Run(config_, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::v1::EXIT_CAUSE_DISAGREEMENT) << ended.result.message();
  }
}

TEST_F(RunRankTest, FinishesTheStepAndStopsWhenAsked) {
  stop_ = StopRequest::kNow;
  for (const Ended& ended : Run(config_, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::v1::EXIT_CAUSE_STOPPED) << ended.result.message();
    EXPECT_EQ(ended.result.message(), "stopped after step 1");
  }
}

// Steps 1, 2, … of a job that evaluates at each second step and begins each attempt with a request to stop and save.
TEST_F(RunRankTest, SavesTheVeryStepWhereItStopsAndNothingIsDoneTwice) {
  const Ended whole = Run(config_, 2)[0];
  RankConfig next = config_;
  std::vector<std::string> labels;
  for (uint32_t attempt = 1; attempt <= 3; ++attempt) {
    next.set_attempt(attempt);
    cluster_.rendezvous.attempt = cluster_.data.attempt = attempt;
    stop_ = StopRequest::kSave;
    const std::vector<Ended> ended = Run(next, 2);
    for (const Ended& one : ended) {
      EXPECT_EQ(one.result.cause(), muster::v1::EXIT_CAUSE_STOPPED) << one.result.message();
      EXPECT_EQ(one.result.message(), absl::StrCat("stopped after step ", attempt, ", which is saved"));
    }
    ASSERT_EQ(ended[0].Checkpoints().size(), 1);
    EXPECT_EQ(ended[0].Checkpoints()[0].step(), attempt);
    for (const std::string& label : ended[0].Labels()) labels.push_back(label);
    next.clear_checkpoints();
    *next.add_checkpoints() = ended[0].Checkpoints()[0];
  }
  stop_ = StopRequest::kNone;
  next.set_attempt(4);
  cluster_.rendezvous.attempt = cluster_.data.attempt = 4;
  const Ended last = Run(next, 2)[0];
  EXPECT_EQ(last.result.cause(), muster::v1::EXIT_CAUSE_SUCCESS) << last.result.message();
  for (const std::string& label : last.Labels()) labels.push_back(label);
  EXPECT_THAT(labels, testing::ElementsAre("untrained", "step-2", "step-4", "step-6", "trained"));
  EXPECT_THAT(AttemptsOfSteps(last),
              testing::ElementsAre("1 by 1", "2 by 2", "3 by 3", "4 by 4", "5 by 4", "6 by 4"));
  EXPECT_EQ(last.Manifest(), whole.Manifest()) << "the bytes of an undisturbed job";
}

// Slot 1000 has no GPU anywhere, so that the test is the same on a machine with some.
TEST_F(RunRankTest, AGpuThatIsNotThereIsPermanentAndNamesTheRemedy) {
  RankConfig wrong = config_;
  wrong.set_device("gpu");
  wrong.set_slot(1000);
  const RankResult result = Run(wrong, 1)[0].result;
  EXPECT_EQ(result.cause(), muster::v1::EXIT_CAUSE_PERMANENT);
  EXPECT_THAT(result.message(), testing::StartsWith("resources.device: gpu: "));
  EXPECT_THAT(result.message(), testing::EndsWith("submit with resources.device: cpu"));
}

TEST_F(RunRankTest, AWrongTokenIsPermanentAndAStaleAttemptIsNot) {
  RankConfig wrong = config_;
  wrong.mutable_resolved()->set_vocabulary_size(20);
  wrong.mutable_spec()->clear_report();
  EXPECT_EQ(Run(wrong, 1)[0].result.cause(), muster::v1::EXIT_CAUSE_PERMANENT);
  cluster_.data.attempt = 2;
  EXPECT_EQ(Run(config_, 1)[0].result.cause(), muster::v1::EXIT_CAUSE_ERROR);
}

}  // namespace
}  // namespace muster
