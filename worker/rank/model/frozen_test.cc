// Tests frozen parts for every family of encoders.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "common/model/families/family.h"
#include "common/model/parts.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/model/testing/family_configs.h"
#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

class Frozen : public testing::TestWithParam<std::string> {};

// Uses backward(), as training does, which adds to the gradients that the parameters already have.
std::vector<at::Tensor> BackwardGradients(Encoder& encoder, const PackedBatch& batch, const Dropout& dropout) {
  for (Parameter& parameter : encoder.parameters()) parameter.value.mutable_grad() = at::zeros_like(parameter.value);
  torch::autograd::backward({(encoder.Encode(batch, dropout) * 3).sin().sum()}, {});
  std::vector<at::Tensor> gradients;
  for (Parameter& parameter : encoder.parameters()) gradients.push_back(parameter.value.grad());
  return gradients;
}

// Trained parameters have the same gradients, to the bit, as if no part were frozen.
TEST_P(Frozen, DoesNotChangeTheOtherGradients) {
  const EncoderConfig config = FamilyTestConfig(GetParam());
  const auto whole = Encoder::Random(config, 1, at::kDouble).value();
  const Dropout dropout{.hidden = 0.2, .attention = 0.2, .seed = 1, .step = 2};
  const PackedBatch batch = RandomBatch(config, {2, 5, 5, 9}, 3);
  const std::vector<at::Tensor> of_whole = BackwardGradients(*whole, batch, dropout);
  std::vector<std::vector<std::string>> cases = {{"embeddings"}, {"layers.0"}, {"embeddings", "layers.0"}, {"layers.1"}};
  if (HasHead(config)) {
    cases.push_back({"head"});
    cases.push_back({"embeddings", "layers"});
  }
  for (const std::vector<std::string>& parts : cases) {
    EncoderConfig own = config;
    own.frozen = parts;
    const auto encoder = Encoder::Random(own, 1, at::kDouble).value();
    EXPECT_EQ(encoder->parameters().size() + encoder->fixed().size(), whole->parameters().size());
    EXPECT_FALSE(encoder->fixed().empty());
    EXPECT_EQ(LargestDifference(encoder->Encode(batch, dropout), whole->Encode(batch, dropout)), 0);
    const std::vector<at::Tensor> gradients = BackwardGradients(*encoder, batch, dropout);
    size_t trained = 0;
    for (size_t i = 0; i < whole->parameters().size(); ++i) {
      const std::string& name = whole->parameters()[i].name;
      if (IsFrozen(own, name)) continue;
      ASSERT_LT(trained, gradients.size());
      ASSERT_EQ(encoder->parameters()[trained].name, name);
      EXPECT_TRUE(at::equal(gradients[trained], of_whole[i])) << name << ", with " << parts.front() << " frozen";
      ++trained;
    }
    EXPECT_EQ(trained, gradients.size());
    for (const Parameter& parameter : encoder->fixed()) {
      EXPECT_FALSE(parameter.value.requires_grad()) << parameter.name;
      EXPECT_FALSE(parameter.value.grad().defined()) << parameter.name;
    }
    const auto merged = encoder->Merged();
    ASSERT_EQ(merged->parameters().size(), whole->parameters().size());
    for (size_t i = 0; i < whole->parameters().size(); ++i) {
      EXPECT_EQ(merged->parameters()[i].name, whole->parameters()[i].name);
      EXPECT_TRUE(at::equal(merged->parameters()[i].value, whole->parameters()[i].value));
      EXPECT_TRUE(merged->parameters()[i].value.requires_grad());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Frozen, testing::ValuesIn(FamilyNames()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(FrozenParts, AnAdapterInAFrozenLayerIsNotMade) {
  EncoderConfig config = SmallConfig();
  config.lora = {.rank = 2, .alpha = 4, .targets = {"query"}, .seed = 9};
  config.frozen = {"layers.0"};
  const auto encoder = Encoder::Random(config, 1, at::kDouble).value();
  EXPECT_EQ(encoder->parameters().size(), 2 * static_cast<size_t>(config.layers - 1));
  for (const Parameter& parameter : encoder->parameters()) EXPECT_FALSE(IsFrozen(config, parameter.name)) << parameter.name;
}

TEST(FrozenParts, AnEncoderWithNothingToTrainIsRefused) {
  EncoderConfig config = SmallConfig();
  config.frozen = {"embeddings", "layers"};
  EXPECT_EQ(Encoder::Random(config, 1).status().message(), "model.freeze: leaves nothing to train. Name fewer parts.");
}

}  // namespace
}  // namespace muster
