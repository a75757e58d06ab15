// Whole runs of ranks that continue from checkpoints, and what happens to damaged ones and to ones that cannot be stored.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <algorithm>

#include "worker/rank/link/testing/rank_run_fixture.h"
#include "worker/rank/train/checkpoint.h"
#include "worker/rank/train/model_spec.h"

namespace muster {
namespace {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;

TEST_F(RunRankTest, AResumedJobExportsTheBytesOfAnUndisturbedOneAndSkipsADamagedCheckpoint) {
  const Ended whole = Run(config_, 2)[0];
  ASSERT_EQ(whole.Checkpoints().size(), 3) << whole.result.message();
  const RankConfig next = Next(whole);
  cluster_.blobs.Forget(next.checkpoints(0).manifest());  // step 4's checkpoint is missing
  const std::vector<Ended> ranks = Run(next, 2);
  const Ended& again = ranks[0];
  EXPECT_EQ(again.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << again.result.message();
  for (const Ended& rank : ranks) EXPECT_THAT(rank.Refused(), testing::ElementsAre(4)) << "every rank that found it says so";
  EXPECT_THAT(again.Labels(), testing::ElementsAre("step-4", "step-6", "trained"));
  EXPECT_EQ(ModelDigest(again), ModelDigest(whole));
  EXPECT_EQ(again.Manifest(), whole.Manifest()) << "the model card too";
  EXPECT_THAT(AttemptsOfSteps(whole),
              testing::ElementsAre("1 by 1", "2 by 1", "3 by 1", "4 by 1", "5 by 1", "6 by 1"));
  EXPECT_THAT(AttemptsOfSteps(again),
              testing::ElementsAre("1 by 1", "2 by 1", "3 by 2", "4 by 2", "5 by 2", "6 by 2"));
}

TEST_F(RunRankTest, AnAdaptedJobResumesFromItsAdaptersAndExportsWholeWeights) {
  const std::unique_ptr<Encoder> base = *EncoderFromSpec(config_.spec(), "", 50, at::kCPU);
  auto& lora = *config_.mutable_spec()->mutable_model()->mutable_lora();
  lora.set_rank(4);
  lora.set_alpha(8);
  lora.add_targets("query");
  const Ended whole = Run(config_, 2)[0];
  const Ended again = Run(Next(whole), 2)[0];
  EXPECT_EQ(again.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << again.result.message();
  EXPECT_THAT(again.Labels(), testing::ElementsAre("step-6", "trained")) << "from step 4";
  EXPECT_EQ(again.Manifest(), whole.Manifest());
  const auto tensors_of = [&](const std::string& manifest, const std::string& name) {
    EXPECT_TRUE(blobs_.GetFolder(*blobs_.GetManifest(manifest), folder_ / name).ok());
    return *ReadSafetensors(folder_ / name / "model.safetensors");
  };
  for (const Parameter& tensor : tensors_of(whole.Checkpoints().front().manifest(), "checkpoint")) {
    EXPECT_THAT(tensor.name, testing::ContainsRegex("query\\.lora_[AB]\\.weight$"));
  }
  const std::vector<Parameter> exported = tensors_of(whole.Manifest(), "exported");
  ASSERT_EQ(exported.size(), base->parameters().size());
  for (size_t i = 0; i < exported.size(); ++i) {
    const Parameter& before = base->parameters()[i];
    ASSERT_EQ(exported[i].name, before.name);
    EXPECT_EQ(ParameterDigest({exported[i]}) == ParameterDigest({before}), !before.name.ends_with("query.weight"))
        << before.name;
  }
}

TEST_F(RunRankTest, AJobWithFrozenPartsResumesAndItsCheckpointIsAWholeModel) {
  config_.mutable_spec()->clear_evaluate();  // so that the export has the weights of the last step
  config_.mutable_spec()->mutable_model()->add_freeze("embeddings");
  config_.mutable_spec()->mutable_optimizer()->set_layer_decay(0.5);
  const std::unique_ptr<Encoder> base = *EncoderFromSpec(config_.spec(), "", 50, at::kCPU);
  const Ended whole = Run(config_, 2)[0];
  ASSERT_EQ(whole.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << whole.result.message();
  RankConfig exports = FromCheckpoint(config_, whole, 6);
  exports.mutable_spec()->mutable_duration()->set_steps(0);
  exports.mutable_spec()->mutable_model()->clear_freeze();
  exports.mutable_resolved()->set_total_steps(0);
  exports.mutable_spec()->clear_report();
  const Ended stored = Run(exports, 1)[0];
  EXPECT_EQ(ModelDigest(stored), ModelDigest(whole)) << stored.result.message();
  const Ended again = Run(Next(whole), 2)[0];
  EXPECT_EQ(again.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << again.result.message();
  EXPECT_EQ(again.Manifest(), whole.Manifest());
  ASSERT_TRUE(blobs_.GetFolder(*blobs_.GetManifest(whole.Manifest()), folder_ / "exported").ok());
  const std::vector<Parameter> exported = *ReadSafetensors(folder_ / "exported" / "model.safetensors");
  ASSERT_EQ(exported.size(), base->parameters().size() + base->fixed().size());
  for (const Parameter& tensor : base->fixed()) {
    const auto same = std::ranges::find(exported, tensor.name, &Parameter::name);
    ASSERT_NE(same, exported.end()) << tensor.name;
    EXPECT_EQ(ParameterDigest({*same}), ParameterDigest({tensor})) << tensor.name;
  }
}

TEST_F(RunRankTest, WithAllCheckpointsDamagedItFailsPermanentlyAndNeverStartsOver) {
  const RankConfig next = Next(Run(config_, 2)[0]);
  ASSERT_EQ(next.checkpoints_size(), 2);
  const std::string model = BlobOf(next.checkpoints(0), "model.safetensors");
  cluster_.blobs.Damage(model);
  cluster_.blobs.Forget(BlobOf(next.checkpoints(1), "state.json"));
  for (const Ended& ended : Run(next, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_PERMANENT);
    EXPECT_THAT(ended.result.message(),
                testing::HasSubstr("all 2 checkpoints of the job are damaged (steps 2, 4). The newest: rank 0: model.safetensors"));
    EXPECT_THAT(ended.result.message(), testing::HasSubstr(model.substr(0, 12)));
    EXPECT_THAT(ended.result.message(), testing::EndsWith("Submit the job again to train from the start."));
    EXPECT_THAT(ended.Refused(), testing::ElementsAre(4, 2));
    EXPECT_THAT(ended.Labels(), testing::IsEmpty());
  }
}

TEST_F(RunRankTest, WhatOneRankFindsDamagedNoRankContinuesFrom) {
  const Ended whole = Run(config_, 2)[0];
  const RankConfig next = Next(whole);
  // Rank 1's copies arrive damaged, twice; rank 0's arrive intact.
  std::atomic<int> asked = 0;
  const std::string model = BlobOf(next.checkpoints(0), "model.safetensors");
  cluster_.blobs.before_get = [&](const std::string& digest) {
    return digest == model && asked++ > 0 ? absl::DataLossError("its bytes are damaged") : absl::OkStatus();
  };
  const std::vector<Ended> ranks = Run(next, 2);
  EXPECT_EQ(ranks[0].Refused().size() + ranks[1].Refused().size(), 1);
  EXPECT_EQ(ranks[0].Manifest(), whole.Manifest()) << ranks[0].result.message();
}

// Limits the size of files for the whole process, which the writer sees as a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(RunRankTest, ADiskThatFillsDuringARestoreIsNotDamageAndTheJobContinuesWhenItHasSpaceAgain) {
  const Ended whole = Run(config_, 1)[0];
  const RankConfig next = Next(whole);
  {
    const FileSizeLimit full(100 << 10);
    const Ended ended = Run(next, 1)[0];
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_ERROR);
    EXPECT_THAT(ended.result.message(), testing::StartsWith("restoring the checkpoint of step 4: "));
    EXPECT_THAT(ended.result.message(), testing::HasSubstr("File too large"));
    EXPECT_THAT(ended.Refused(), testing::IsEmpty());
  }
  const Ended again = Run(next, 1)[0];
  EXPECT_THAT(again.Labels(), testing::ElementsAre("step-6", "trained")) << "from step 4";
  EXPECT_EQ(again.Manifest(), whole.Manifest());
}

TEST_F(RunRankTest, AnErrorThatOneRankMeetsAloneEndsTheAttemptAndKeepsTheCheckpoint) {
  const Ended whole = Run(config_, 2)[0];
  const RankConfig next = Next(whole);
  for (const absl::Status& fault : {absl::PermissionDeniedError("not yours"), absl::InvalidArgumentError("nonsense"),
                                    absl::ResourceExhaustedError("no room"), absl::NotFoundError("no such file")}) {
    cluster_.blobs.before_get = [&, model = BlobOf(next.checkpoints(0), "model.safetensors"),
                                 asked = std::make_shared<std::atomic<int>>(0)](const std::string& digest) {
      return digest == model && (*asked)++ == 0 ? fault : absl::OkStatus();
    };
    int errors = 0;
    for (const Ended& ended : Run(next, 2)) {
      errors += ended.result.cause() == muster::internal::v1::EXIT_CAUSE_ERROR;
      EXPECT_NE(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_PERMANENT) << ended.result.message();
      EXPECT_NE(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS);
      EXPECT_THAT(ended.Refused(), testing::IsEmpty()) << fault;
    }
    EXPECT_EQ(errors, 1) << fault << ": the other's collective failed";
  }
  cluster_.blobs.before_get = nullptr;
  EXPECT_EQ(Run(next, 2)[0].Manifest(), whole.Manifest());
}

TEST_F(RunRankTest, AStepLogOfAnotherVersionNeverKeepsACheckpointFromBeingRestored) {
  const Ended whole = Run(config_, 2)[0];
  const RankConfig next = Next(whole);
  for (const std::string log : {"step,weather\n1,rain\n2,sun\n3,fog\n4,snow\n", "no log at all", ""}) {
    const std::filesystem::path folder = folder_ / absl::StrCat("edited-", log.size());
    ASSERT_TRUE(blobs_.GetFolder(*blobs_.GetManifest(next.checkpoints(0).manifest()), folder).ok());
    ASSERT_TRUE(WriteFileAtomically(folder / "steps.csv", log).ok());
    RankConfig other = next;
    other.mutable_checkpoints(0)->set_manifest(*blobs_.PutManifest(*blobs_.PutFolder(folder)));
    const std::vector<Ended> ranks = Run(other, 2);
    EXPECT_THAT(ranks[0].Labels(), testing::ElementsAre("step-6", "trained")) << log;
    EXPECT_EQ(ranks[0].Manifest(), whole.Manifest()) << log;
    for (const Ended& rank : ranks) EXPECT_THAT(rank.Refused(), testing::IsEmpty());
    if (log.starts_with("step")) {
      EXPECT_THAT(AttemptsOfSteps(ranks[0]), testing::ElementsAre("1 by ", "2 by ", "3 by ", "4 by ", "5 by 2", "6 by 2"));
    } else {
      EXPECT_THAT(AttemptsOfSteps(ranks[0]), testing::ElementsAre("5 by 2", "6 by 2"));
    }
  }
}

// The store takes nothing before the last evaluation: training must have continued for four steps meanwhile.
TEST_F(RunRankTest, TrainingContinuesWhileACheckpointIsStoredAndTheLastOneIsNeverLeftOut) {
  cluster_.data.may_send = nullptr;
  cluster_.blobs.before_put = [this] {
    const auto last = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return evaluated_.contains("step-6"); };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&last), absl::Seconds(30)) ? absl::OkStatus()
                                                                            : absl::InternalError("training waited");
  };
  const Ended ended = Run(config_, 2)[0];
  EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
  std::vector<uint64_t> steps;
  for (const auto& checkpoint : ended.Checkpoints()) steps.push_back(checkpoint.step());
  EXPECT_THAT(steps, testing::ElementsAre(6, 2)) << "that of step 4 was due while that of step 2 was being stored";
}

TEST_F(RunRankTest, ACheckpointThatCannotBeStoredStopsNothingAndIsNotReportedAsSaved) {
  cluster_.data.may_send = nullptr;
  cluster_.blobs.before_put = [] { return absl::ResourceExhaustedError("no room"); };
  stop_ = StopRequest::kSave;
  const Ended stopped = Run(config_, 1)[0];
  EXPECT_EQ(stopped.result.cause(), muster::internal::v1::EXIT_CAUSE_STOPPED);
  EXPECT_THAT(stopped.result.message(), testing::StartsWith("stopped after step 1, which could not be saved: "));
  EXPECT_THAT(stopped.result.message(), testing::HasSubstr("no room"));
  EXPECT_THAT(stopped.Checkpoints(), testing::IsEmpty());
}

TEST_F(RunRankTest, TheLedgerContinuesFromACheckpointInTheMiddleOfAnEpoch) {
  const Ended whole = Run(config_, 2)[0];
  RankConfig resumed = config_;
  resumed.set_attempt(2);
  cluster_.rendezvous.attempt = cluster_.data.attempt = 2;
  *resumed.add_checkpoints() = whole.Checkpoints().back();  // of step 2, where an epoch has 3
  EXPECT_GT(whole.Checkpoints().back().seconds(), 0);
  EXPECT_THAT(Run(resumed, 1)[0].Epochs(), testing::ElementsAre("0: some 0 0", "1: some 0 0"));
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
      EXPECT_EQ(one.result.cause(), muster::internal::v1::EXIT_CAUSE_STOPPED) << one.result.message();
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
  EXPECT_EQ(last.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << last.result.message();
  for (const std::string& label : last.Labels()) labels.push_back(label);
  EXPECT_THAT(labels, testing::ElementsAre("untrained", "step-2", "step-4", "step-6", "trained"));
  EXPECT_THAT(AttemptsOfSteps(last),
              testing::ElementsAre("1 by 1", "2 by 2", "3 by 3", "4 by 4", "5 by 4", "6 by 4"));
  EXPECT_EQ(last.Manifest(), whole.Manifest()) << "the bytes of an undisturbed job";
}

TEST_F(RunRankTest, ACheckpointOfAnotherJobIsTheModelThatItsJobWouldHaveExported) {
  for (const bool adapters : {false, true}) {
    RankConfig source = config_;
    source.mutable_spec()->clear_evaluate();  // so that the export has the weights of the last step
    if (adapters) {
      auto& lora = *source.mutable_spec()->mutable_model()->mutable_lora();
      lora.set_rank(4);
      lora.set_alpha(8);
      lora.add_targets("query");
    }
    const Ended whole = Run(source, 1)[0];
    RankConfig exports = FromCheckpoint(source, whole, 6);
    exports.mutable_spec()->mutable_duration()->set_steps(0);
    exports.mutable_resolved()->set_total_steps(0);
    exports.mutable_spec()->clear_report();
    for (const uint32_t world_size : {1, 2}) {
      const std::vector<Ended> ended = Run(exports, world_size);
      for (const Ended& one : ended) {
        ASSERT_EQ(one.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << one.result.message();
      }
      EXPECT_EQ(ModelDigest(ended[0]), ModelDigest(whole)) << (adapters ? "with adapters" : "");
    }
    // A job that trains from a checkpoint begins where the other job ended, and its own checkpoints can be models, too.
    const RankConfig continues = FromCheckpoint(source, whole, 6);
    const Ended next = Run(continues, 1)[0];
    ASSERT_EQ(next.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << next.result.message();
    EXPECT_EQ(next.Metrics("untrained"), whole.Metrics("trained"));
    EXPECT_NE(next.Metrics("trained"), "");
    RankConfig second = FromCheckpoint(continues, next, 6);
    second.mutable_spec()->mutable_duration()->set_steps(0);
    second.mutable_resolved()->set_total_steps(0);
    second.mutable_spec()->clear_report();
    const Ended chained = Run(second, 1)[0];
    ASSERT_EQ(chained.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << chained.result.message();
    EXPECT_EQ(ModelDigest(chained), ModelDigest(next)) << "a checkpoint of a job that began with a checkpoint";
  }
}

TEST_F(RunRankTest, ADamagedCheckpointOfAnotherJobIsNamed) {
  config_.mutable_spec()->clear_evaluate();
  const Ended whole = Run(config_, 1)[0];
  const RankConfig continues = FromCheckpoint(config_, whole, 4);
  cluster_.blobs.Damage(BlobOf(whole.Checkpoints()[1], "model.safetensors"));
  const Ended ended = Run(continues, 1)[0];
  EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_ERROR);
  EXPECT_THAT(ended.result.message(), testing::HasSubstr("the checkpoint of step 4 of job job-1: "));
}

}  // namespace
}  // namespace muster
