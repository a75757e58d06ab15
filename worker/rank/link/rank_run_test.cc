// Whole runs of ranks, as threads, against the fake cluster.
#include "worker/rank/link/rank_run.h"

#include <ATen/Parallel.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files.h"
#include "common/rpc/blobs.h"
#include "common/spec/job_spec.h"
#include "worker/rank/link/fake_cluster.h"
#include "worker/rank/train/checkpoint.h"
#include "worker/rank/train/model_spec.h"

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
  std::string Metrics(const std::string& label) const {  // as text; empty: no such evaluation
    std::string text;
    for (const RankMessage& message : messages) {
      if (!message.has_evaluation() || message.evaluation().label() != label) continue;
      const auto& metrics = message.evaluation().metrics();
      for (const auto& [name, value] : std::map<std::string, double>(metrics.begin(), metrics.end())) {
        absl::StrAppend(&text, name, " ", value, "\n");
      }
    }
    return text;
  }
  std::vector<uint64_t> Refused() const {
    std::vector<uint64_t> steps;
    for (const RankMessage& message : messages) {
      if (message.has_checkpoint_refused()) steps.push_back(message.checkpoint_refused().step());
    }
    return steps;
  }
  std::vector<std::string> Epochs() const {
    std::vector<std::string> epochs;
    for (const RankMessage& message : messages) {
      if (!message.has_epoch_closed()) continue;
      const muster::internal::v1::EpochClosed& closed = message.epoch_closed();
      epochs.push_back(absl::StrCat(closed.epoch(), ": ", closed.committed() > 0 ? "some" : "none", " ",
                                    closed.duplicated(), " ", closed.missing()));
    }
    return epochs;
  }
  std::string StepLog() const {
    for (const RankMessage& message : messages) {
      if (message.has_exported()) return message.exported().step_log();
    }
    return "";
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
    spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    FillDefaults(spec);
    // Steps are shorter than storing a checkpoint, which would be left out: each is stored before the next step.
    cluster_.data.may_send = [this](uint64_t from, uint64_t step) {
      absl::MutexLock lock(&mutex_);
      for (uint64_t due = (from / 2 + 1) * 2; due <= step; due += 2) {
        if (!stored_.contains(due)) return false;
      }
      return true;
    };
  }
  ~RunRankTest() override { std::filesystem::remove_all(folder_); }

  std::vector<Ended> Run(RankConfig config, uint32_t world_size) {
    config.set_world_size(world_size);
    cluster_.rendezvous.Clear();
    ++runs_;
    {
      absl::MutexLock lock(&mutex_);
      stored_.clear();
      evaluated_.clear();
    }
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
        {
          absl::MutexLock lock(&mutex_);
          if (message.has_checkpoint()) stored_.insert(message.checkpoint().checkpoint().step());
          if (message.has_evaluation()) evaluated_.insert(message.evaluation().label());
        }
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

  // The state with which an attempt after `before` begins.
  RankConfig Next(const Ended& before) {
    RankConfig next = config_;
    next.set_attempt(2);
    cluster_.rendezvous.attempt = cluster_.data.attempt = 2;
    for (const auto& checkpoint : before.Checkpoints()) {
      if (checkpoint.step() < 6) *next.add_checkpoints() = checkpoint;
    }
    return next;
  }

  // A job like `source` whose model is a checkpoint of it.
  RankConfig FromCheckpoint(const RankConfig& source, const Ended& ended, uint64_t step) {
    RankConfig next = source;
    muster::v1::ModelCheckpoint link;
    for (const auto& checkpoint : ended.Checkpoints()) {
      if (checkpoint.step() == step) link.set_manifest(checkpoint.manifest());
    }
    EXPECT_NE(link.manifest(), "") << ended.result.message();
    link.set_job_id(source.job_id());
    link.set_step(step);
    *link.mutable_model() = source.spec().model();
    link.set_seed(source.spec().seed());
    link.set_vocabulary_size(source.resolved().vocabulary_size());
    link.set_tokenizer_manifest(source.resolved().tokenizer_manifest());
    if (source.resolved().has_model_checkpoint()) *link.mutable_base() = source.resolved().model_checkpoint();
    muster::v1::ModelSpec& model = *next.mutable_spec()->mutable_model();
    model.clear_preset();
    model.clear_tokenizer();
    model.set_from(absl::StrCat("job:", source.job_id(), "@", step));
    *next.mutable_resolved()->mutable_model_checkpoint() = link;
    return next;
  }

  std::string BlobOf(const muster::v1::CheckpointInfo& checkpoint, const std::string& file) {
    const auto manifest = blobs_.GetManifest(checkpoint.manifest());
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    std::string digest;
    for (const auto& entry : manifest->files()) {
      if (entry.path() == file) digest = entry.digest();
    }
    EXPECT_NE(digest, "") << "no " << file;
    return digest;
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
  absl::Mutex mutex_;
  std::set<uint64_t> stored_ ABSL_GUARDED_BY(mutex_);        // steps of checkpoints, of the run
  std::set<std::string> evaluated_ ABSL_GUARDED_BY(mutex_);  // labels, of the run
};

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
  }
}

TEST_F(RunRankTest, AResumedJobExportsTheBytesOfAnUndisturbedOneAndSkipsADamagedCheckpoint) {
  const Ended whole = Run(config_, 2)[0];
  ASSERT_EQ(whole.Checkpoints().size(), 3) << whole.result.message();
  const RankConfig next = Next(whole);
  cluster_.blobs.Forget(next.checkpoints(0).manifest());  // that of step 4 is gone
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
    // A job that trains from it begins where the other one ended, and its own checkpoints are models, too.
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

TEST_F(RunRankTest, WithAllCheckpointsDamagedItFailsForGoodAndNeverStartsOver) {
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

TEST_F(RunRankTest, WhatOneRankFindsDamagedNoRankGoesOnFrom) {
  const Ended whole = Run(config_, 2)[0];
  const RankConfig next = Next(whole);
  // Rank 1's copies arrive damaged, twice; rank 0's whole.
  std::atomic<int> asked = 0;
  const std::string model = BlobOf(next.checkpoints(0), "model.safetensors");
  cluster_.blobs.before_get = [&](const std::string& digest) {
    return digest == model && asked++ > 0 ? absl::DataLossError("its bytes are damaged") : absl::OkStatus();
  };
  const std::vector<Ended> ranks = Run(next, 2);
  EXPECT_EQ(ranks[0].Refused().size() + ranks[1].Refused().size(), 1);
  EXPECT_EQ(ranks[0].Manifest(), whole.Manifest()) << ranks[0].result.message();
}

// A limit on the size of files, of the whole process: to the writer it is a full disk.
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

TEST_F(RunRankTest, ADiskThatFillsDuringARestoreIsNoDamageAndTheJobGoesOnWhenItHasRoomAgain) {
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
TEST_F(RunRankTest, TrainingGoesOnWhileACheckpointIsStoredAndTheLastOneIsNeverLeftOut) {
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

TEST_F(RunRankTest, ACheckpointThatCannotBeStoredStopsNothingAndIsNotSaidToBeSaved) {
  cluster_.data.may_send = nullptr;
  cluster_.blobs.before_put = [] { return absl::ResourceExhaustedError("no room"); };
  stop_ = StopRequest::kSave;
  const Ended stopped = Run(config_, 1)[0];
  EXPECT_EQ(stopped.result.cause(), muster::internal::v1::EXIT_CAUSE_STOPPED);
  EXPECT_THAT(stopped.result.message(), testing::StartsWith("stopped after step 1, which could not be saved: "));
  EXPECT_THAT(stopped.result.message(), testing::HasSubstr("no room"));
  EXPECT_THAT(stopped.Checkpoints(), testing::IsEmpty());
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
  ASSERT_EQ(manifests.size(), 1u) << "of rank 0 alone";
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
    EXPECT_THAT(ended.back().Epochs(), testing::SizeIs(world_size == 1 ? 2 : 0)) << "rank 0 alone tells";
    cluster_.data.other_query = true;
    ended = Run(config_, world_size);
    EXPECT_EQ(ended[0].result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended[0].result.message();
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

// Whatever a rank is about to do, it waits for the data server, says so, and continues as if nothing had happened.
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
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS)
        << after << ": " << ended.result.message();
    EXPECT_THAT(waited, testing::ElementsAre(absl::StrCat("data server ", cluster_.address()))) << after;
    EXPECT_EQ(ended.Manifest(), whole.Manifest()) << after;
    EXPECT_EQ(ended.Checkpoints().size(), 3) << after;
  }
}

TEST_F(RunRankTest, SaysWhenAndWhyItStoppedEarly) {
  config_.mutable_spec()->mutable_optimizer()->set_learning_rate(0);  // no evaluation is better than the first
  config_.mutable_spec()->mutable_evaluate()->mutable_early_stop()->set_patience(1);
  for (const Ended& ended : Run(config_, 2)) {
    EXPECT_EQ(ended.result.cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS) << ended.result.message();
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

// Slot 1000 has no GPU anywhere, so that the test is the same on a machine with some.
TEST_F(RunRankTest, AGpuThatIsNotThereIsPermanentAndNamesTheRemedy) {
  RankConfig wrong = config_;
  wrong.set_device("gpu");
  wrong.set_slot(1000);
  const RankResult result = Run(wrong, 1)[0].result;
  EXPECT_EQ(result.cause(), muster::internal::v1::EXIT_CAUSE_PERMANENT);
  EXPECT_THAT(result.message(), testing::StartsWith("resources.device: gpu: "));
  EXPECT_THAT(result.message(), testing::EndsWith("submit with resources.device: cpu"));
}

TEST_F(RunRankTest, StepsWithoutANegativeAreNamedAtTheEndByAllRanks) {
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
