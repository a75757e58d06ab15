// Low-rank adaptation against whole weights, for every family.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "common/model/families/family.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/model/encoder_weights.h"
#include "worker/rank/model/testing/family_configs.h"
#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

constexpr int64_t kRank = 3;
constexpr double kAlpha = 5;

std::unique_ptr<Encoder> MakeAdapted(EncoderConfig config, std::vector<std::string> targets = {},
                                     const EncoderOptions& options = at::kDouble) {
  config.lora = {.rank = kRank, .alpha = kAlpha, .targets = std::move(targets), .seed = 9};
  return Encoder::Random(config, 1, options).value();
}

// B is 0 before training. Gives it values as after some steps.
void FillUps(Encoder& encoder) {
  const at::NoGradGuard no_grad;
  for (Parameter& parameter : encoder.parameters()) {
    if (!parameter.name.ends_with(kLoraUp)) continue;
    const at::Tensor places = at::arange(parameter.value.numel(), at::kDouble);
    parameter.value.copy_((places * 0.7 + 1).sin().mul(0.3).view(parameter.value.sizes()));
  }
}

std::vector<at::Tensor> Gradients(const at::Tensor& embeddings, const std::vector<Parameter>& parameters) {
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : parameters) values.push_back(parameter.value);
  return torch::autograd::grad({(embeddings * 3).sin().sum()}, values);
}

class Lora : public testing::TestWithParam<std::string> {};

TEST_P(Lora, BeginsAsTheModelItself) {
  const EncoderConfig config = FamilyTestConfig(GetParam());
  const auto whole = Encoder::Random(config, 1, at::kDouble).value();
  const PackedBatch batch = RandomBatch(config, {2, 5, 5, 9}, 3);
  EXPECT_EQ(LargestDifference(MakeAdapted(config)->Encode(batch, {}), whole->Encode(batch, {})), 0);
}

// The chain rule: with W' = W + s B A, the gradients are s B^T dW' and s dW' A^T.
TEST_P(Lora, EmbeddingsAndGradientsAreThoseOfTheMergedWeights) {
  const EncoderConfig config = FamilyTestConfig(GetParam());
  const auto adapted = MakeAdapted(config);
  FillUps(*adapted);
  const auto merged = adapted->Merged();
  EXPECT_EQ(merged->config().lora.rank, 0);
  const Dropout dropout{.hidden = 0.2, .attention = 0.2, .seed = 1, .step = 2};
  const PackedBatch batch = RandomBatch(config, {2, 5, 5, 9}, 3);
  const at::Tensor own = adapted->Encode(batch, dropout), whole = merged->Encode(batch, dropout);
  EXPECT_LE(LargestDifference(own, whole), 1e-12);
  EXPECT_GT(LargestDifference(own, Encoder::Random(config, 1, at::kDouble).value()->Encode(batch, dropout)), 1e-3);
  const auto gradients = Gradients(own, adapted->parameters()), of_whole = Gradients(whole, merged->parameters());
  const auto targets = LoraTargets(config, {}).value();
  ASSERT_EQ(gradients.size(), 2 * targets.size());
  for (size_t i = 0; i < targets.size(); ++i) {
    size_t index = 0;
    while (merged->parameters()[index].name != targets[i].name) ++index;
    const at::Tensor &down = adapted->parameters()[2 * i].value, &up = adapted->parameters()[2 * i + 1].value;
    const at::Tensor scaled = of_whole[index] * (kAlpha / kRank);
    EXPECT_LE(LargestDifference(gradients[2 * i], at::matmul(up.t(), scaled)), 1e-11) << targets[i].name;
    EXPECT_LE(LargestDifference(gradients[2 * i + 1], at::matmul(scaled, down.t())), 1e-11) << targets[i].name;
  }
}

TEST_P(Lora, Bfloat16IsNearFloat64) {
  const EncoderConfig config = FamilyTestConfig(GetParam());
  const auto exact = MakeAdapted(config), mixed = MakeAdapted(config, {}, {at::kFloat, at::kCPU, true});
  FillUps(*exact);
  FillUps(*mixed);
  const PackedBatch batch = RandomBatch(config, {2, 5, 5, 9}, 3);
  for (int update = 0; update < 2; ++update) {
    const double difference = LargestDifference(mixed->Encode(batch, {}), exact->Encode(batch, {}));
    EXPECT_LE(difference, 0.03) << "after " << update << " updates";
    EXPECT_GT(difference, 0);
    const at::NoGradGuard no_grad;
    for (Encoder* encoder : {exact.get(), mixed.get()}) {
      for (Parameter& parameter : encoder->parameters()) parameter.value.mul_(-2);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Lora, testing::ValuesIn(FamilyNames()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(LoraTargeting, TrainsTheNamedProductsAndNothingElse) {
  const auto encoder = MakeAdapted(SmallConfig(), {"query", "output.dense"});
  EXPECT_EQ(encoder->parameters().size(), 2 * 3 * 3);  // attention.output.dense ends with it, too
  EXPECT_EQ(encoder->parameters()[0].name, "encoder.layer.0.attention.self.query.lora_A.weight");
  EXPECT_EQ(encoder->parameters()[1].name, "encoder.layer.0.attention.self.query.lora_B.weight");
  for (const Parameter& parameter : encoder->fixed()) EXPECT_FALSE(parameter.value.requires_grad()) << parameter.name;
  FillUps(*encoder);
  const PackedBatch batch = RandomBatch(SmallConfig(), {2, 5, 9}, 3);
  const at::Tensor own = encoder->Encode(batch, {});
  EXPECT_LE(LargestDifference(own, encoder->Merged()->Encode(batch, {})), 1e-12);
  for (const at::Tensor& gradient : Gradients(own, encoder->parameters())) {
    EXPECT_GT(gradient.norm().item<double>(), 0);
  }
  EncoderConfig wrong = SmallConfig();
  wrong.lora = {.rank = 2, .targets = {"q_proj"}};
  EXPECT_EQ(Encoder::Random(wrong, 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LoraTargeting, NumbersDependOnTheSeedAlone) {
  const auto a = MakeAdapted(SmallConfig()), b = MakeAdapted(SmallConfig());
  EncoderConfig config = SmallConfig();
  config.lora = {.rank = kRank, .seed = 10};
  const auto c = Encoder::Random(config, 1, at::kDouble).value();
  EXPECT_EQ(LargestDifference(a->parameters()[0].value, b->parameters()[0].value), 0);
  EXPECT_GT(LargestDifference(a->parameters()[0].value, c->parameters()[0].value), 0.01);
  EXPECT_EQ(a->parameters()[1].value.abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace muster
