// Whole runs of ranks, as threads, against the fake cluster.
#pragma once

#include <ATen/Parallel.h>
#include <fcntl.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files.h"
#include "common/rpc/blobs.h"
#include "common/spec/job_spec.h"
#include "worker/rank/link/rank_run.h"
#include "worker/rank/link/testing/fake_cluster.h"

namespace muster {

// A rank that has ended: its result, and the messages that it sent.
struct Ended {
  muster::rank::v1::RankResult result;
  std::vector<muster::rank::v1::RankMessage> messages;
  std::vector<std::string> Labels() const {
    std::vector<std::string> labels;
    for (const muster::rank::v1::RankMessage& message : messages) {
      if (message.has_evaluation()) labels.push_back(message.evaluation().label());
    }
    return labels;
  }
  std::vector<muster::v1::CheckpointInfo> Checkpoints() const {
    std::vector<muster::v1::CheckpointInfo> checkpoints;
    for (const muster::rank::v1::RankMessage& message : messages) {
      if (message.has_checkpoint()) checkpoints.insert(checkpoints.begin(), message.checkpoint().checkpoint());
    }
    return checkpoints;
  }
  std::string Metrics(const std::string& label) const {  // as text; empty: no such evaluation
    std::string text;
    for (const muster::rank::v1::RankMessage& message : messages) {
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
    for (const muster::rank::v1::RankMessage& message : messages) {
      if (message.has_checkpoint_refused()) steps.push_back(message.checkpoint_refused().step());
    }
    return steps;
  }
  std::vector<std::string> Epochs() const {
    std::vector<std::string> epochs;
    for (const muster::rank::v1::RankMessage& message : messages) {
      if (!message.has_epoch_closed()) continue;
      const muster::internal::v1::EpochClosed& closed = message.epoch_closed();
      epochs.push_back(absl::StrCat(closed.epoch(), ": ", closed.committed() > 0 ? "some" : "none", " ",
                                    closed.duplicated(), " ", closed.missing()));
    }
    return epochs;
  }
  std::string StepLog() const {
    for (const muster::rank::v1::RankMessage& message : messages) {
      if (message.has_exported()) return message.exported().step_log();
    }
    return "";
  }
  std::string Manifest() const {
    for (const muster::rank::v1::RankMessage& message : messages) {
      if (message.has_exported()) return message.exported().manifest();
    }
    return "";
  }
};

// A tiny job of 6 steps with an evaluation and a checkpoint after every second one.
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
    // Steps are too short to store a checkpoint during one. So that no checkpoint is skipped, each is stored before the
    // next step.
    cluster_.data.may_send = [this](uint64_t from, uint64_t step) {
      absl::MutexLock lock(&mutex_);
      for (uint64_t due = (from / 2 + 1) * 2; due <= step; due += 2) {
        if (!stored_.contains(due)) return false;
      }
      return true;
    };
  }
  ~RunRankTest() override { std::filesystem::remove_all(folder_); }

  std::vector<Ended> Run(muster::rank::v1::RankConfig config, uint32_t world_size) {
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
        muster::rank::v1::RankConfig own = config;
        own.set_rank(rank);
        own.set_scratch((folder_ / absl::StrCat("scratch-", runs_, "-", rank)).string());
        std::filesystem::create_directories(own.scratch());
        ended[rank] = RunOne(own);
      });
    }
    for (std::thread& rank : ranks) rank.join();
    return ended;
  }

  Ended RunOne(const muster::rank::v1::RankConfig& config) {
    Ended ended;
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    std::thread reader([&] {
      google::protobuf::io::FileInputStream stream(ends[0]);
      muster::rank::v1::RankMessage message;
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

  // The state from which the attempt after `before` begins.
  muster::rank::v1::RankConfig Next(const Ended& before) {
    muster::rank::v1::RankConfig next = config_;
    next.set_attempt(2);
    cluster_.rendezvous.attempt = cluster_.data.attempt = 2;
    for (const auto& checkpoint : before.Checkpoints()) {
      if (checkpoint.step() < 6) *next.add_checkpoints() = checkpoint;
    }
    return next;
  }

  // A job like `source` that starts from a checkpoint of `source`.
  muster::rank::v1::RankConfig FromCheckpoint(const muster::rank::v1::RankConfig& source, const Ended& ended, uint64_t step) {
    muster::rank::v1::RankConfig next = source;
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
  muster::rank::v1::RankConfig config_;
  std::atomic<StopRequest> stop_ = StopRequest::kNone;
  std::function<void(const muster::rank::v1::RankMessage&)> on_message_;  // called while the rank runs
  int runs_ = 0;
  absl::Mutex mutex_;
  std::set<uint64_t> stored_ ABSL_GUARDED_BY(mutex_);        // steps of checkpoints, of the run
  std::set<std::string> evaluated_ ABSL_GUARDED_BY(mutex_);  // labels of the evaluations in this run
};

}  // namespace muster
