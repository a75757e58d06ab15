// Whole runs of ranks from their start to their end.
#include "worker/rank/link/rank_run.h"

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

#include "common/retrieval/stored_run.h"
#include "common/status.h"

#include "worker/rank/link/testing/rank_run_fixture.h"
#include "worker/rank/train/checkpoint.h"

namespace muster {
namespace {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;
using muster::rank::v1::RankResult;

TEST_F(RunRankTest, TrainsEvaluatesCheckpointsAndExports) {
  for (const uint32_t world_size : {1, 2}) {
    const std::vector<Ended> ended = Run(config_, world_size);
    for (const Ended& one : ended) {
      EXPECT_EQ(one.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << one.result.message();
    }
    EXPECT_THAT(ended[0].Labels(), testing::ElementsAre("untrained", "step-2", "step-4", "step-6", "trained"));
    ASSERT_EQ(ended[0].Checkpoints().size(), 3);
    EXPECT_EQ(ended[0].Checkpoints()[0].step(), 6);
    EXPECT_EQ(ModelDigest(ended[0]).size(), 64) << ModelDigest(ended[0]);
    muster::v1::CheckpointInfo log;
    log.set_manifest(ended[0].StepLog());
    EXPECT_EQ(BlobOf(log, "steps.csv"), BlobOf(ended[0].Checkpoints()[0], "steps.csv")) << "the last checkpoint has all steps";
    const auto queries = blobs_.GetBytes(BlobOf(log, "report_queries.csv"));
    ASSERT_TRUE(queries.ok()) << queries.status();
    EXPECT_THAT(*queries, testing::AllOf(testing::StartsWith("query,"), testing::HasSubstr(",ndcg@10"), testing::EndsWith("\n")));
  }
}

TEST_F(RunRankTest, LogsTheQueriesOfEachStepIfAskedTo) {
  config_.set_audit((folder_ / "audit").string());
  ASSERT_EQ(Run(config_, 2)[0].result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS);
  for (const int rank : {0, 1}) {
    const auto log = ReadFile(folder_ / "audit" / absl::StrCat("job-1-a1-r", rank, ".audit"));
    ASSERT_TRUE(log.ok()) << log.status();
    const std::vector<std::string> lines = absl::StrSplit(*log, '\n', absl::SkipEmpty());
    ASSERT_EQ(lines.size(), 7);
    EXPECT_EQ(lines[0], absl::StrCat("muster-audit 1 job-1 1 ", rank, " 2"));
    EXPECT_THAT(lines[6], testing::StartsWith("6 "));
  }
}

TEST_F(RunRankTest, StoresATraceOfTheStepsAskedFor) {
  config_.mutable_spec()->set_trace_steps(2);
  std::vector<std::string> manifests;
  for (const Ended& ended : Run(config_, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
    for (const RankMessage& message : ended.messages) {
      if (message.has_trace()) manifests.push_back(message.trace().manifest());
    }
  }
  ASSERT_EQ(manifests.size(), 1u) << "only of rank 0";
  const auto manifest = blobs_.GetManifest(manifests[0]);
  ASSERT_EQ(manifest->files_size(), 1);
  const auto trace = blobs_.GetBytes(manifest->files(0).digest());
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_TRUE(absl::StrContains(*trace, "aten::mm") || absl::StrContains(*trace, "muster::Product")) << "operations of a step";
}

TEST_F(RunRankTest, ClosesTheLedgerOfEachEpochAndFindsAQueryThatWasAnother) {
  for (const uint32_t world_size : {1, 2}) {
    cluster_.data.other_query = false;
    std::vector<Ended> ended = Run(config_, world_size);
    EXPECT_THAT(ended[0].Epochs(), testing::ElementsAre("0: some 0 0", "1: some 0 0"));
    EXPECT_THAT(ended.back().Epochs(), testing::SizeIs(world_size == 1 ? 2 : 0)) << "only rank 0 reports";
    cluster_.data.other_query = true;
    ended = Run(config_, world_size);
    EXPECT_EQ(ended[0].result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended[0].result.message();
    EXPECT_THAT(ended[0].Epochs(), testing::ElementsAre("0: some 1 1", "1: some 0 0"));
  }
}

// In every phase, a rank that loses the data server waits for it, reports that, and continues with the same result.
TEST_F(RunRankTest, ADataServerThatIsAwayEndsNothing) {
  const Ended whole = Run(config_, 1)[0];
  // Before the first download; before the stream of shares; in the middle, with a checkpoint to put; after the last step.
  struct Case {
    std::string after;
    std::optional<size_t> stored;  // checkpoints until then; the next one is held until the data server is unreachable
  };
  for (const auto& [after, stored] : {Case{"", {}}, Case{"untrained", {}}, Case{"step-2", 0}, Case{"step-6", 2}}) {
    enum { kThere, kAway, kBack } server = kThere;  // guarded by mutex_
    const auto become = [&](auto state) {
      absl::MutexLock lock(&mutex_);
      server = state;
    };
    // The test reads messages later than the rank sends them. Without this wait the rank could be done before.
    cluster_.blobs.before_put = [&, stored = stored] {
      absl::MutexLock lock(&mutex_);
      const auto is_awaited = [&] { return server != kThere || stored_.size() != stored; };
      mutex_.Await(absl::Condition(&is_awaited));
      return server == kAway ? absl::UnavailableError("away") : absl::OkStatus();
    };
    std::vector<std::string> waited;
    on_message_ = [&, after = after](const RankMessage& message) {
      if (message.has_evaluation() && message.evaluation().label() == after) {
        become(kAway);
        cluster_.Stop();
      }
      if (cluster_.server != nullptr || message.activity().unreachable().empty()) return;
      waited.push_back(message.activity().unreachable());
      become(kBack);
      cluster_.Restart();
    };
    std::filesystem::remove_all(folder_ / "cache");
    if (after.empty()) cluster_.Stop();
    const Ended ended = Run(config_, 1)[0];
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS)
        << after << ": " << ended.result.message();
    EXPECT_THAT(waited, testing::ElementsAre(absl::StrCat("data server ", cluster_.address()))) << after;
    EXPECT_EQ(ended.Manifest(), whole.Manifest()) << after;
    EXPECT_EQ(ended.Checkpoints().size(), 3) << after;
  }
}

RankConfig Evaluating(RankConfig config) {
  muster::v1::JobSpec& spec = *config.mutable_spec();
  spec.clear_evaluate();
  spec.mutable_duration()->set_steps(0);
  spec.mutable_report()->add_metrics("precision@3");
  spec.mutable_report()->set_run_depth(4);
  FillDefaults(spec);
  config.mutable_resolved()->set_total_steps(0);
  return config;
}

// The values and rankings that a job has stored.
struct Stored {
  std::string values, rankings;
};

TEST_F(RunRankTest, AJobThatOnlyEvaluatesStoresValuesByQueryAndRankings) {
  std::optional<Stored> first;
  for (const uint32_t world_size : {1, 2}) {
    const std::vector<Ended> all = Run(Evaluating(config_), world_size);
    for (const Ended& ended : all) {
      EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
      EXPECT_EQ(ended.Manifest(), "") << "no model";
    }
    EXPECT_THAT(all[0].Labels(), testing::ElementsAre("tiny"));
    EXPECT_THAT(all[0].Metrics("tiny"), testing::HasSubstr("precision@3 "));
    muster::v1::CheckpointInfo results;
    results.set_manifest(all[0].StepLog());
    const auto files = blobs_.GetManifest(all[0].StepLog());
    ASSERT_TRUE(files.ok()) << files.status();
    EXPECT_EQ(files->files_size(), 2) << files->DebugString();
    const Stored stored = {*blobs_.GetBytes(BlobOf(results, "report_queries.csv")),
                           *blobs_.GetBytes(BlobOf(results, kStoredRunFile))};
    EXPECT_THAT(stored.values, testing::HasSubstr(",precision@3"));
    size_t queries = 0;
    ASSERT_TRUE(ForEachRanking(stored.rankings, [&](const StoredRanking& ranking) {
                  EXPECT_EQ(ranking.query, queries++);
                  EXPECT_EQ(ranking.documents.size(), 4u);
                  return absl::OkStatus();
                }).ok());
    EXPECT_EQ(queries, 7u) << "one of them has no positive";
    if (!first.has_value()) first = stored;
    EXPECT_EQ(stored.values, first->values) << world_size << " ranks";
    EXPECT_EQ(stored.rankings, first->rankings) << world_size << " ranks";
  }
}

TEST_F(RunRankTest, ATrainingJobStoresTheRankingsOfTheTrainedModel) {
  config_.mutable_spec()->mutable_report()->set_run_depth(4);
  config_.mutable_spec()->mutable_report()->add_metrics("precision@3");
  const Ended ended = Run(config_, 1)[0];
  EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
  for (const char* label : {"untrained", "trained"}) {
    EXPECT_THAT(ended.Metrics(label), testing::HasSubstr("precision@3 ")) << label;
  }
  EXPECT_THAT(ended.Metrics("step-2"), testing::Not(testing::HasSubstr("precision@3"))) << "the report's metric";
  muster::v1::CheckpointInfo log;
  log.set_manifest(ended.StepLog());
  EXPECT_EQ(BlobOf(log, "steps.csv"), BlobOf(ended.Checkpoints()[0], "steps.csv"));
  EXPECT_NE(BlobOf(log, kStoredRunFile), "");
}

RankConfig Mining(RankConfig config) {
  muster::v1::JobSpec& spec = *config.mutable_spec();
  spec.clear_evaluate();
  spec.clear_report();
  spec.mutable_duration()->set_steps(0);
  spec.mutable_mine()->set_dataset("d");
  spec.mutable_mine()->set_out("mined");
  spec.mutable_mine()->set_per_query(3);
  spec.mutable_mine()->set_relative_margin(0);
  FillDefaults(spec);
  config.mutable_resolved()->set_total_steps(0);
  return config;
}

TEST_F(RunRankTest, MinesTheSameOnAnyNumberOfRanksAndAllRanksSaySo) {
  for (const uint32_t world_size : {1, 2}) {
    for (const Ended& ended : Run(Mining(config_), world_size)) {
      EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
      EXPECT_EQ(ended.result.message(), "18 negatives for 6 queries, in dataset mined") << "one query has no positive";
      EXPECT_THAT(ended.Labels(), testing::IsEmpty());
      EXPECT_EQ(ended.Manifest(), "");
    }
  }
  const std::vector<std::string> published = cluster_.data.published();
  ASSERT_EQ(published.size(), 2u);
  EXPECT_EQ(published[0], published[1]);
  muster::internal::v1::MinedNegatives mined;
  ASSERT_TRUE(mined.ParseFromString(*blobs_.GetBytes(published[0])));
  EXPECT_THAT(mined.counts(), testing::ElementsAre(3, 3, 0, 3, 3, 3, 3));
}

TEST_F(RunRankTest, APublicationThatFailsIsRepeatedOrPermanentByItsReason) {
  int calls = 0;
  cluster_.data.before_publish = [&] { return ++calls < 3 ? absl::UnavailableError("away") : absl::OkStatus(); };
  EXPECT_EQ(Run(Mining(config_), 1)[0].result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS);
  EXPECT_EQ(calls, 3);
  cluster_.data.before_publish = [] { return WithReason(absl::AlreadyExistsError("the name is taken"), "DATASET_EXISTS"); };
  const RankResult taken = Run(Mining(config_), 1)[0].result;
  EXPECT_EQ(taken.cause(), muster::internal::v1::EXIT_CAUSE_PERMANENT);
  EXPECT_EQ(taken.message(), "the name is taken");
  cluster_.data.before_publish = [] { return absl::ResourceExhaustedError("no room"); };
  EXPECT_EQ(Run(Mining(config_), 1)[0].result.cause(), muster::internal::v1::EXIT_CAUSE_ERROR) << "there may be room later";
}

TEST_F(RunRankTest, AMiningJobThatIsAskedToStopMakesNoDataset) {
  stop_ = StopRequest::kNow;
  for (const Ended& ended : Run(Mining(config_), 2)) {
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_STOPPED) << ended.result.message();
  }
  EXPECT_THAT(cluster_.data.published(), testing::IsEmpty());
}

TEST_F(RunRankTest, SaysWhenAndWhyItStoppedEarly) {
  config_.mutable_spec()->mutable_optimizer()->set_learning_rate(0);  // no evaluation is better than the first
  config_.mutable_spec()->mutable_evaluate()->mutable_early_stop()->set_patience(1);
  for (const Ended& ended : Run(config_, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
    EXPECT_THAT(ended.result.message(),
                testing::MatchesRegex("the export has the weights of step 2, the best by mrr@5 \\([01]\\..*\\)"));
    for (const RankMessage& message : ended.messages) {
      if (!message.has_exported()) continue;
      const muster::internal::v1::StoppedEarly& stopped = message.exported().stopped_early();
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
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_DISAGREEMENT) << ended.result.message();
  }
}

TEST_F(RunRankTest, FinishesTheStepAndStopsWhenAsked) {
  stop_ = StopRequest::kNow;
  for (const Ended& ended : Run(config_, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_STOPPED) << ended.result.message();
    EXPECT_EQ(ended.result.message(), "stopped after step 1");
  }
}

// Slot 1000 has no GPU anywhere, so that the test is the same on a machine with some.
TEST_F(RunRankTest, AMissingGpuIsPermanentAndNamesTheRemedy) {
  RankConfig wrong = config_;
  wrong.set_device("gpu");
  wrong.set_slot(1000);
  const RankResult result = Run(wrong, 1)[0].result;
  EXPECT_EQ(result.cause(), muster::internal::v1::EXIT_CAUSE_PERMANENT);
  EXPECT_THAT(result.message(), testing::StartsWith("resources.device: gpu: "));
  EXPECT_THAT(result.message(), testing::EndsWith("submit with resources.device: cpu"));
}

TEST_F(RunRankTest, StepsWithoutANegativeAreNamedAtTheEndByAllRanks) {
  config_.mutable_spec()->clear_evaluate();
  for (const Ended& ended : Run(config_, 2)) EXPECT_EQ(ended.result.message(), "");
  cluster_.data.no_negative = true;
  for (const Ended& ended : Run(config_, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS);
    EXPECT_EQ(ended.result.message(), "1 of the last 6 steps had no negative to learn from");
  }
}

TEST_F(RunRankTest, TheModelCardNamesTheLengthsThatWereTrained) {
  config_.mutable_spec()->mutable_model()->mutable_max_length()->set_query(20);
  config_.mutable_spec()->mutable_model()->mutable_max_length()->set_passage(24);
  const Ended ended = Run(config_, 1)[0];
  const auto manifest = *blobs_.GetManifest(ended.Manifest());
  std::string card, lengths;
  for (const auto& file : manifest.files()) {
    if (file.path() == "README.md") card = *blobs_.GetBytes(file.digest());
    if (file.path() == "sentence_bert_config.json") lengths = *blobs_.GetBytes(file.digest());
  }
  EXPECT_THAT(card, testing::HasSubstr("at most 24 tokens (training cut queries to 20 and passages to 24)"));
  EXPECT_THAT(lengths, testing::HasSubstr("\"max_seq_length\": 24"));
}

TEST_F(RunRankTest, AWrongTokenIsPermanentAndAStaleAttemptIsNot) {
  RankConfig wrong = config_;
  wrong.mutable_resolved()->set_vocabulary_size(20);
  wrong.mutable_spec()->clear_report();
  EXPECT_EQ(Run(wrong, 1)[0].result.cause(), muster::internal::v1::EXIT_CAUSE_PERMANENT);
  cluster_.data.attempt = 2;
  EXPECT_EQ(Run(config_, 1)[0].result.cause(), muster::internal::v1::EXIT_CAUSE_ERROR);
}

}  // namespace
}  // namespace muster
