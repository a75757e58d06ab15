#include "worker/rank/train/checkpoint.h"

#include <ATen/ops/equal.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "worker/rank/train/problem.h"
#include "worker/rank/train/trainer.h"

namespace muster {
namespace {

TrainerOptions Options() {
  TrainerOptions options;
  options.loss.set_temperature(0.2);
  options.optimizer.set_learning_rate(1e-3);
  options.optimizer.set_warmup(0.1);
  options.optimizer.set_max_grad_norm(1);
  options.optimizer.set_weight_decay(0.01);
  options.optimizer.set_beta1(0.9);
  options.optimizer.set_beta2(0.999);
  options.optimizer.set_epsilon(1e-8);
  options.hidden_dropout = options.attention_dropout = 0.1;
  options.total_steps = 6;
  return options;
}

struct Training {
  Training() : group(MakeSingleGroup()), encoder(*Encoder::Random(ProblemConfig(), 3)),
          trainer(*encoder, *group, RealClock(), Options()) {}
  void Train(uint64_t from, uint64_t to) {
    for (uint64_t step = from; step < to; ++step) {
      Problem problem = MakeProblem(100 + step, false);
      problem.step = step;
      const auto batch = BatchFromShare(ShareOf(problem, 0, 1, 60), 0, 1, ProblemConfig(), at::kCPU);
      ASSERT_TRUE(trainer.Step(*batch).ok());
    }
  }
  std::unique_ptr<Group> group;
  std::unique_ptr<Encoder> encoder;
  Trainer trainer;
};

std::filesystem::path Scratch() { return *MakeScratchFolder(testing::TempDir(), "checkpoint"); }

TEST(Checkpoint, AResumedRunHasTheBytesOfAnUndisturbedOne) {
  Training whole;
  whole.Train(0, 6);
  Training first;
  first.Train(0, 3);
  const auto folder = Scratch();
  TrainingCursor cursor{.step = 3, .total_steps = 6, .seed = 17, .spec_digest = "d", .best_metric = 0.25,
                        .threads = {2, 1}, .ledger = {.epoch = 1, .applied = {96, ~uint64_t{5}}, .whole = true}};
  (*cursor.untrained.emplace().mutable_metrics())["mrr"] = 0.1;
  const auto best = CopyParameters(first.encoder->parameters());
  ASSERT_TRUE(WriteCheckpoint(folder, *first.encoder, first.trainer.optimizer(), cursor, best).ok());
  Training second;
  const auto restored = RestoreCheckpoint(folder, "d", *second.encoder, second.trainer.optimizer());
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->cursor.step, 3);
  EXPECT_EQ(restored->cursor.best_metric, 0.25);
  EXPECT_EQ(restored->cursor.threads, (std::vector<uint32_t>{2, 1}));
  EXPECT_EQ(restored->cursor.ledger, cursor.ledger);
  EXPECT_EQ(restored->best.size(), best.size());
  EXPECT_EQ(restored->cursor.untrained->metrics().at("mrr"), 0.1);
  second.Train(restored->cursor.step, 6);
  EXPECT_EQ(ParameterDigest(second.encoder->parameters()), ParameterDigest(whole.encoder->parameters()));
  EXPECT_NE(ParameterDigest(first.encoder->parameters()), ParameterDigest(whole.encoder->parameters()));
  std::filesystem::remove_all(folder);
}

TEST(Checkpoint, ABrokenOrForeignOneIsRefusedAndChangesNothing) {
  Training run;
  run.Train(0, 1);
  const auto folder = Scratch();
  ASSERT_TRUE(WriteCheckpoint(folder, *run.encoder, run.trainer.optimizer(), {.spec_digest = "d"}, {}).ok());
  Training other;
  const std::string before = ParameterDigest(other.encoder->parameters());
  EXPECT_EQ(RestoreCheckpoint(folder, "e", *other.encoder, other.trainer.optimizer()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  std::filesystem::resize_file(folder / "optimizer.safetensors", 100);
  EXPECT_FALSE(RestoreCheckpoint(folder, "d", *other.encoder, other.trainer.optimizer()).ok());
  EXPECT_EQ(ParameterDigest(other.encoder->parameters()), before);
  std::filesystem::remove_all(folder);
}

bool IsAligned(const at::Tensor& tensor) { return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 64 == 0; }

// MKL's sums depend on the alignment of what they sum.
TEST(Checkpoint, FreshAndRestoredTensorsBeginAtMultiplesOf64Bytes) {
  Training fresh;
  fresh.Train(0, 1);
  const auto folder = Scratch();
  const auto best = CopyParameters(fresh.encoder->parameters());
  ASSERT_TRUE(WriteCheckpoint(folder, *fresh.encoder, fresh.trainer.optimizer(), {.spec_digest = "d", .best_metric = 1},
                              best).ok());
  Training again;
  const auto restored = RestoreCheckpoint(folder, "d", *again.encoder, again.trainer.optimizer());
  ASSERT_TRUE(restored.ok()) << restored.status();
  const auto read = ReadSafetensors(folder / "model.safetensors");
  ASSERT_TRUE(read.ok()) << read.status();
  int checked = 0;
  for (const std::vector<Parameter>& tensors :
       {fresh.encoder->parameters(), again.encoder->parameters(), fresh.trainer.optimizer().State(),
        again.trainer.optimizer().State(), best, restored->best, *read}) {
    for (const Parameter& tensor : tensors) {
      EXPECT_TRUE(IsAligned(tensor.value)) << tensor.name;
      ++checked;
    }
  }
  EXPECT_GT(checked, 100);
  again.Train(1, 2);  // gradients are fresh tensors, too
  for (const at::Tensor& gradient : again.trainer.gradients()) EXPECT_TRUE(IsAligned(gradient));
  std::filesystem::remove_all(folder);
}

TEST(Checkpoint, AnotherNumberOfThreadsOrRanksIsNoted) {
  EXPECT_EQ(RoundingNote({1, 2}, {1, 2}), "");
  EXPECT_NE(RoundingNote({1, 2}, {1, 1}).find("1, 2 threads on its ranks, this attempt has 1, 1"), std::string::npos);
  EXPECT_NE(RoundingNote({1, 1}, {1}), "");
}

TEST(Checkpoint, TheDigestOfASpecificationIgnoresWhereItRuns) {
  muster::v1::JobSpec a, b;
  a.mutable_resources()->mutable_slots()->set_min(1);
  b.mutable_resources()->mutable_slots()->set_min(4);
  EXPECT_EQ(SpecDigest(a, {}), SpecDigest(b, {}));
  b.set_seed(3);
  EXPECT_NE(SpecDigest(a, {}), SpecDigest(b, {}));
}

}  // namespace
}  // namespace muster
