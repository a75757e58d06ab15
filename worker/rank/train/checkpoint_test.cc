#include "worker/rank/train/checkpoint.h"

#include <ATen/ops/equal.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <functional>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/model/families/family.h"
#include "worker/rank/model/testing/family_configs.h"
#include "worker/rank/train/testing/problem.h"
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
  explicit Training(const EncoderConfig& config = ProblemConfig(), const EncoderOptions& options = {})
      : group(MakeSingleGroup()), encoder(*Encoder::Random(config, 3, options)),
        trainer(*encoder, *group, RealClock(), Options()) {}
  void Train(uint64_t from, uint64_t to) {
    for (uint64_t step = from; step < to; ++step) {
      Problem problem = MakeProblem(100 + step, false);
      problem.step = step;
      const auto batch = BatchFromShare(ShareOf(problem, 0, 1, 60), encoder->config(), at::kCPU);
      ASSERT_TRUE(trainer.Step(*batch).ok());
    }
  }
  std::unique_ptr<Group> group;
  std::unique_ptr<Encoder> encoder;
  Trainer trainer;
};

absl::Status Write(const std::filesystem::path& folder, Training& training, const TrainingCursor& cursor,
                   const std::vector<Parameter>& best) {
  CheckpointCopy copy;
  copy.Take(*training.encoder, training.trainer.optimizer(), cursor, best);
  return copy.WriteTo(folder);
}

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
  ASSERT_TRUE(Write(folder, first, cursor, best).ok());
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

// Checkpoints of a job with model.lora. Parameters: the model's family, and whether it trains in bfloat16.
class AdaptedCheckpoint : public testing::TestWithParam<std::tuple<const char*, bool>> {
 protected:
  static EncoderConfig Config() {
    EncoderConfig config = WithFamily(ProblemConfig(), std::get<0>(GetParam()));
    config.lora = {.rank = 4, .alpha = 8, .seed = 3};
    return config;
  }
  static Training Make(const EncoderConfig& config = Config()) {
    return Training(config, {at::kFloat, at::kCPU, std::get<1>(GetParam())});
  }
};

TEST_P(AdaptedCheckpoint, AResumedRunHasTheBytesOfAnUndisturbedOne) {
  Training whole = Make();
  whole.Train(0, 6);
  Training first = Make();
  first.Train(0, 3);
  const auto folder = Scratch();
  ASSERT_TRUE(Write(folder, first, {.step = 3, .total_steps = 6, .spec_digest = "d"}, {}).ok());
  EncoderConfig other = Config();
  other.lora.seed = 4;  // A comes from the checkpoint, and is not drawn again
  Training second = Make(other);
  ASSERT_NE(ParameterDigest(second.encoder->parameters()), ParameterDigest(Make().encoder->parameters()));
  const auto restored = RestoreCheckpoint(folder, "d", *second.encoder, second.trainer.optimizer());
  ASSERT_TRUE(restored.ok()) << restored.status();
  second.Train(restored->cursor.step, 6);
  EXPECT_EQ(ParameterDigest(second.encoder->parameters()), ParameterDigest(whole.encoder->parameters()));
  EXPECT_NE(ParameterDigest(first.encoder->parameters()), ParameterDigest(whole.encoder->parameters()));
  EXPECT_EQ(ParameterDigest(second.encoder->Merged()->parameters()),
            ParameterDigest(whole.encoder->Merged()->parameters()));
  std::filesystem::remove_all(folder);
}

std::vector<std::string> NamesIn(const std::filesystem::path& file) {
  const auto tensors = ReadSafetensors(file);
  EXPECT_TRUE(tensors.ok()) << tensors.status();
  std::vector<std::string> names;
  for (const Parameter& tensor : *tensors) names.push_back(tensor.name);
  return names;
}

TEST_P(AdaptedCheckpoint, HoldsAAndBAndTheirMomentsAlone) {
  Training run = Make();
  run.Train(0, 1);
  const auto folder = Scratch();
  ASSERT_TRUE(Write(folder, run, {.spec_digest = "d", .best_metric = 1}, CopyParameters(run.encoder->parameters())).ok());
  const std::vector<TensorShape> targets = LoraTargets(Config(), {}).value();
  std::vector<std::string> adapters, moments;
  for (const TensorShape& target : targets) {
    const std::string product = target.name.substr(0, target.name.size() - std::string(".weight").size());
    for (const char* matrix : {"A", "B"}) {
      adapters.push_back(absl::StrCat(product, ".lora_", matrix, ".weight"));
      moments.push_back(absl::StrCat("exp_avg.", adapters.back()));
      moments.push_back(absl::StrCat("exp_avg_sq.", adapters.back()));
    }
  }
  moments.push_back("step");
  EXPECT_EQ(NamesIn(folder / "model.safetensors"), adapters);
  EXPECT_EQ(NamesIn(folder / "best.safetensors"), adapters);
  EXPECT_EQ(NamesIn(folder / "optimizer.safetensors"), moments);
  std::filesystem::remove_all(folder);
}

TEST_P(AdaptedCheckpoint, TrainingLeavesTheBytesOfTheModelItselfAlone) {
  EncoderConfig plain = Config();
  plain.lora = {};
  const std::string model = ParameterDigest(Make(plain).encoder->parameters());
  Training run = Make();
  const std::string adapters = ParameterDigest(run.encoder->parameters());
  ASSERT_EQ(ParameterDigest(run.encoder->fixed()), model);
  run.Train(0, 4);
  EXPECT_EQ(ParameterDigest(run.encoder->fixed()), model);
  EXPECT_NE(ParameterDigest(run.encoder->parameters()), adapters);
  for (const Parameter& parameter : run.encoder->fixed()) {
    EXPECT_FALSE(parameter.value.grad().defined()) << parameter.name;
  }
}

// A bidirectional encoder and a causal one.
INSTANTIATE_TEST_SUITE_P(Families, AdaptedCheckpoint, testing::Combine(testing::Values("bert", "qwen3"), testing::Bool()),
                         [](const auto& info) {
                           return absl::StrCat(std::get<0>(info.param),
                                               std::get<1>(info.param) ? "_bfloat16" : "_float32");
                         });

// Contents of a damaged file.
struct Damage {
  const char* name;
  std::function<void(const std::filesystem::path& folder)> make;
};
const Damage kDamages[] = {
    {"optimizer cut", [](const auto& folder) { std::filesystem::resize_file(folder / "optimizer.safetensors", 100); }},
    {"model cut", [](const auto& folder) { std::filesystem::resize_file(folder / "model.safetensors", 5000); }},
    {"no JSON", [](const auto& folder) { ASSERT_TRUE(WriteFileAtomically(folder / "state.json", "{").ok()); }},
    {"no format", [](const auto& folder) { ASSERT_TRUE(WriteFileAtomically(folder / "state.json", "{}").ok()); }},
    {"another file's tensors",
     [](const auto& folder) {
       std::filesystem::copy_file(folder / "optimizer.safetensors", folder / "model.safetensors",
                                  std::filesystem::copy_options::overwrite_existing);
     }},
};

TEST(Checkpoint, ADamagedOneIsReportedAsDamagedAndChangesNothing) {
  Training run;
  run.Train(0, 1);
  for (const Damage& damage : kDamages) {
    const auto folder = Scratch();
    ASSERT_TRUE(Write(folder, run, {.spec_digest = "d"}, {}).ok());
    damage.make(folder);
    Training other;
    const std::string before = ParameterDigest(other.encoder->parameters());
    const auto restored = RestoreCheckpoint(folder, "d", *other.encoder, other.trainer.optimizer());
    EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss) << damage.name << ": " << restored.status();
    EXPECT_EQ(ParameterDigest(other.encoder->parameters()), before) << damage.name;
    std::filesystem::remove_all(folder);
  }
}

TEST(Checkpoint, AFaultOfTheHostOrAnotherVersionIsNotDamage) {
  Training run;
  const auto folder = Scratch();
  ASSERT_TRUE(Write(folder, run, {.spec_digest = "d"}, {}).ok());
  const auto code_of = [&](const std::string& digest) {
    return RestoreCheckpoint(folder, digest, *run.encoder, run.trainer.optimizer()).status().code();
  };
  EXPECT_EQ(code_of("e"), absl::StatusCode::kFailedPrecondition);
  std::filesystem::remove(folder / "model.safetensors");  // as a cleanup of temporary folders would do
  EXPECT_EQ(code_of("d"), absl::StatusCode::kNotFound);
  std::filesystem::create_directory(folder / "model.safetensors");
  EXPECT_NE(code_of("d"), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(WriteFileAtomically(folder / "state.json", "{\"format\": 2}").ok());
  EXPECT_EQ(code_of("d"), absl::StatusCode::kFailedPrecondition);
  std::filesystem::remove_all(folder);
}

// Training continues while the copy is written, and the next copy uses the same memory.
TEST(Checkpoint, ACopyIsOfTheMomentWhenItWasTaken) {
  Training run;
  run.Train(0, 2);
  const auto first = Scratch(), second = Scratch();
  CheckpointCopy copy;
  copy.Take(*run.encoder, run.trainer.optimizer(), {.step = 2, .spec_digest = "d"}, {});
  const std::string then = ParameterDigest(run.encoder->parameters());
  run.Train(2, 4);
  ASSERT_TRUE(copy.WriteTo(first).ok());
  copy.Take(*run.encoder, run.trainer.optimizer(), {.step = 4, .spec_digest = "d"}, {});
  ASSERT_TRUE(copy.WriteTo(second).ok());
  const std::string now = ParameterDigest(run.encoder->parameters());
  Training again;
  const auto restored = RestoreCheckpoint(first, "d", *again.encoder, again.trainer.optimizer());
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->cursor.step, 2);
  EXPECT_EQ(again.trainer.optimizer().step(), 2);
  EXPECT_EQ(ParameterDigest(again.encoder->parameters()), then);
  again.Train(2, 4);
  EXPECT_EQ(ParameterDigest(again.encoder->parameters()), now) << "moments too";
  ASSERT_TRUE(RestoreCheckpoint(second, "d", *again.encoder, again.trainer.optimizer()).ok());
  EXPECT_EQ(ParameterDigest(again.encoder->parameters()), now);
  std::filesystem::remove_all(first);
  std::filesystem::remove_all(second);
}

TEST(Checkpoint, TheDigestOfParametersFindsOneNumberThatDiffersByOneBit) {
  Training run;
  const std::string before = ParameterDigest(run.encoder->parameters());
  for (const size_t index : {size_t{0}, run.encoder->parameters().size() - 1}) {
    at::Tensor value = run.encoder->parameters()[index].value.detach();
    auto* bits = reinterpret_cast<uint32_t*>(value.mutable_data_ptr()) + value.numel() - 1;
    *bits ^= 1;
    EXPECT_NE(ParameterDigest(run.encoder->parameters()), before);
    *bits ^= 1;
    EXPECT_EQ(ParameterDigest(run.encoder->parameters()), before);
  }
}

bool IsAligned(const at::Tensor& tensor) { return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 64 == 0; }

// MKL's sums depend on the alignment of what they sum.
TEST(Checkpoint, FreshAndRestoredTensorsBeginAtMultiplesOf64Bytes) {
  Training fresh;
  fresh.Train(0, 1);
  const auto folder = Scratch();
  const auto best = CopyParameters(fresh.encoder->parameters());
  ASSERT_TRUE(Write(folder, fresh, {.spec_digest = "d", .best_metric = 1}, best).ok());
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

// Older ranks got no profile, and could not tell an enumeration's first value from an absent one. Newer ranks must
// restore their checkpoints.
TEST(Checkpoint, TheDigestOfASpecificationIsThatOfOlderRanks) {
  muster::v1::JobSpec filled, same;
  filled.set_seed(17);
  filled.mutable_model()->set_dropout(0.1f);
  filled.mutable_data()->mutable_positives()->set_per_query(4);
  filled.mutable_data()->mutable_negatives()->set_per_query(0);
  filled.mutable_optimizer()->set_beta1(0.9);
  filled.mutable_loss()->set_temperature(0.05f);
  same = filled;
  same.set_profile("tevatron");
  same.set_precision(muster::v1::PRECISION_AUTO);
  same.mutable_model()->set_pooling(muster::v1::POOLING_UNSPECIFIED);
  same.mutable_data()->mutable_positives()->set_choose(muster::v1::CHOOSE_RANDOM);
  same.mutable_data()->mutable_negatives()->set_choose(muster::v1::CHOOSE_RANDOM);
  same.mutable_optimizer()->set_schedule(muster::v1::SCHEDULE_LINEAR);
  same.mutable_loss()->set_objective(muster::v1::OBJECTIVE_JOINTLH);
  EXPECT_EQ(SpecDigest(same, {}), SpecDigest(filled, {}));
  same.mutable_optimizer()->set_schedule(muster::v1::SCHEDULE_COSINE);
  EXPECT_NE(SpecDigest(same, {}), SpecDigest(filled, {}));
}

}  // namespace
}  // namespace muster
