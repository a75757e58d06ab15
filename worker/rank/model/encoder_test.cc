#include "worker/rank/model/encoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <iostream>

#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

constexpr double kTight = 1e-10;
const std::vector<int64_t> kLengths = {1, 1, 2, 3, 3, 3, 7, 8, 8, 21};

// Weights of order 0.3, so that attention is far from uniform and every gradient is far from rounding.
std::unique_ptr<Encoder> WideEncoder(EncoderConfig config, at::ScalarType type = at::kDouble) {
  auto encoder = Encoder::Random(config, 5, type).value();
  const at::NoGradGuard no_grad;
  uint64_t seed = 0;
  for (Parameter& parameter : encoder->parameters()) {
    auto generator = at::detail::createCPUGenerator(++seed);
    parameter.value.add_(at::randn(parameter.value.sizes(), generator, parameter.value.options()), 0.3);
  }
  return encoder;
}

std::vector<at::Tensor> Values(const Encoder& encoder) {
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : encoder.parameters()) values.push_back(parameter.value);
  return values;
}

// Gradients of sum(embeddings * fixed random weights). The weights belong to a sequence's slot.
std::vector<at::Tensor> Gradients(const Encoder& encoder, const at::Tensor& embeddings, const PackedBatch& batch) {
  std::vector<at::Tensor> rows;
  for (const uint32_t slot : batch.slots) {
    rows.push_back(at::sin(at::arange(embeddings.size(1), embeddings.options()) * (slot + 1) * 0.7));
  }
  return torch::autograd::grad({(embeddings * at::stack(rows).detach()).sum()}, Values(encoder), {}, std::nullopt,
                               false, /*allow_unused=*/false);
}

void ExpectSameAsReference(const EncoderConfig& config, const Dropout& dropout) {
  const auto encoder = WideEncoder(config);
  const PackedBatch batch = RandomBatch(config, kLengths, 1);
  const at::Tensor mine = encoder->Encode(batch, dropout), reference = ReferenceEncode(*encoder, batch, dropout);
  const double difference = LargestDifference(mine, reference);
  std::cout << "largest difference of embeddings " << difference << "\n";
  EXPECT_LE(difference, kTight);
  const auto gradients = Gradients(*encoder, mine, batch), expected = Gradients(*encoder, reference, batch);
  double largest = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const double distance = (gradients[i] - expected[i]).norm().item<double>();
    const double norm = expected[i].norm().item<double>();
    largest = std::max(largest, distance / std::max(norm, 1e-3));
    EXPECT_LE(distance, kTight * std::max(norm, 1e-3)) << encoder->parameters()[i].name;
    const bool key_bias = encoder->parameters()[i].name.ends_with("key.bias");  // exactly 0 in theory
    EXPECT_TRUE(key_bias || norm > 1e-6) << encoder->parameters()[i].name << " has norm " << norm;
  }
  std::cout << "largest relative difference of gradients " << largest << "\n";
}

TEST(Encoder, EqualsPaddedReferenceWithEveryPooling) {
  for (const PoolingMode pooling : {PoolingMode::kMean, PoolingMode::kCls, PoolingMode::kLast}) {
    for (const bool normalize : {false, true}) {
      EncoderConfig config = SmallConfig();
      config.pooling = pooling;
      config.normalize = normalize;
      ExpectSameAsReference(config, {});
    }
  }
}

TEST(Encoder, EqualsReferenceWithHiddenDropout) {
  ExpectSameAsReference(SmallConfig(), {.hidden = 0.2, .seed = 3, .step = 9});
}

TEST(Encoder, EqualsReferenceWithAttentionDropout) {
  ExpectSameAsReference(SmallConfig(), {.attention = 0.3, .seed = 4, .step = 1});
}

TEST(Encoder, EqualsReferenceWithAllDropout) {
  ExpectSameAsReference(SmallConfig(), {.hidden = 0.1, .attention = 0.1, .seed = 5, .step = 2});
}

TEST(Encoder, EmbeddingDoesNotDependOnTheBatch) {
  const auto encoder = WideEncoder(SmallConfig());
  const at::NoGradGuard no_grad;
  const PackedBatch batch = RandomBatch(encoder->config(), kLengths, 2);
  const Dropout dropout{.hidden = 0.1, .attention = 0.1, .seed = 1, .step = 1};
  for (const Dropout& drop : {Dropout{}, dropout}) {
    const at::Tensor together = encoder->Encode(batch, drop);
    for (int64_t s = 0; s < batch.size(); ++s) {
      const at::Tensor alone = encoder->Encode(SliceBatch(batch, s, 1), drop);
      EXPECT_LE(LargestDifference(alone[0], together[s]), 1e-12) << "sequence " << s;
    }
  }
}

TEST(Encoder, DropoutDoesNotDependOnHowMicroBatchesAreCut) {
  const auto encoder = WideEncoder(SmallConfig());
  const PackedBatch batch = RandomBatch(encoder->config(), kLengths, 3);
  const Dropout dropout{.hidden = 0.2, .attention = 0.2, .seed = 11, .step = 7};
  const at::Tensor whole = encoder->Encode(batch, dropout);
  const auto gradients = Gradients(*encoder, whole, batch);
  for (const int64_t cut : {1, 4, 9}) {
    const PackedBatch parts[] = {SliceBatch(batch, cut, batch.size() - cut), SliceBatch(batch, 0, cut)};
    const at::Tensor late = encoder->Encode(parts[0], dropout), early = encoder->Encode(parts[1], dropout);
    EXPECT_LE(LargestDifference(at::cat({early, late}), whole), 1e-12) << "cut " << cut;
    const auto a = Gradients(*encoder, late, parts[0]), b = Gradients(*encoder, early, parts[1]);
    for (size_t i = 0; i < gradients.size(); ++i) {
      EXPECT_LE(LargestDifference(a[i] + b[i], gradients[i]), 1e-11) << encoder->parameters()[i].name;
    }
  }
}

TEST(Encoder, AnotherStepSeedOrSlotDrawsOtherMasks) {
  const auto encoder = WideEncoder(SmallConfig());
  const at::NoGradGuard no_grad;
  PackedBatch batch = RandomBatch(encoder->config(), kLengths, 3);
  const auto encode = [&](uint64_t seed, uint64_t step) {
    return encoder->Encode(batch, {.hidden = 0.2, .attention = 0.2, .seed = seed, .step = step});
  };
  const at::Tensor base = encode(1, 1);
  EXPECT_EQ(LargestDifference(base, encode(1, 1)), 0);
  EXPECT_GT(LargestDifference(base, encode(1, 2)), 0.01);
  EXPECT_GT(LargestDifference(base, encode(2, 1)), 0.01);
  batch.slots[9] = 7;
  const at::Tensor moved = encode(1, 1);
  EXPECT_EQ(LargestDifference(base.narrow(0, 0, 9), moved.narrow(0, 0, 9)), 0);
  EXPECT_GT(LargestDifference(base[9], moved[9]), 0.01);
}

TEST(Encoder, SingleAgreesWithDouble) {
  EncoderConfig config = SmallConfig();
  auto single = Encoder::Random(config, 8, at::kFloat).value(), wide = Encoder::Random(config, 8, at::kDouble).value();
  const PackedBatch batch = RandomBatch(config, kLengths, 4);
  const Dropout dropout{.hidden = 0.1, .attention = 0.1, .seed = 5, .step = 2};
  const double difference = LargestDifference(single->Encode(batch, dropout), wide->Encode(batch, dropout));
  std::cout << "largest difference " << difference << "\n";
  EXPECT_LE(difference, 2e-6);
}

TEST(Encoder, EmbeddingsAreTheSameBitsWithoutAGraphAndWithPackedWeights) {
  const auto encoder = WideEncoder(SmallConfig(), at::kFloat);
  const PackedBatch batch = RandomBatch(SmallConfig(), kLengths, 1);
  const at::Tensor with_graph = encoder->Encode(batch, {}).detach();
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(encoder->Encode(batch, {}), with_graph));
  {
    const PackedWeights packed(*encoder);
    EXPECT_TRUE(at::equal(encoder->Encode(batch, {}), with_graph));
  }
  for (Parameter& parameter : encoder->parameters()) parameter.value.mul_(0.5);
  EXPECT_FALSE(at::equal(encoder->Encode(batch, {}), with_graph)) << "the copies are gone, so a change has its effect";
}

TEST(Encoder, RandomWeightsDependOnTheSeedAlone) {
  const auto a = Encoder::Random(SmallConfig(), 1).value(), b = Encoder::Random(SmallConfig(), 1).value(),
             c = Encoder::Random(SmallConfig(), 2).value();
  EXPECT_EQ(LargestDifference(a->parameters()[0].value, b->parameters()[0].value), 0);
  EXPECT_GT(LargestDifference(a->parameters()[0].value, c->parameters()[0].value), 0.01);
  const at::Tensor words = a->parameters()[0].value.detach();
  EXPECT_NEAR(words.std().item<double>(), 0.02, 0.001);
  EXPECT_NEAR(words.mean().item<double>(), 0, 0.002);
}

TEST(Encoder, ReloadsWhatItWroteBitForBit) {
  const auto encoder = WideEncoder(SmallConfig(), at::kFloat);
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "reload";
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(WriteSafetensors(folder / "model.safetensors", encoder->parameters()).ok());
  const auto again = Encoder::Load(folder, SmallConfig());
  ASSERT_TRUE(again.ok()) << again.status();
  for (size_t i = 0; i < encoder->parameters().size(); ++i) {
    const Parameter &a = encoder->parameters()[i], &b = (*again)->parameters()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_TRUE(at::equal(a.value, b.value)) << a.name;
    EXPECT_TRUE(b.value.is_leaf() && b.value.requires_grad());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.value.const_data_ptr()) % 64, 0) << a.name;
  }
}

TEST(Encoder, LoadNamesTheTensorThatIsMissingOrMisshapen) {
  const auto encoder = Encoder::Random(SmallConfig(), 1).value();
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "misshapen";
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(WriteSafetensors(folder / "model.safetensors", encoder->parameters()).ok());
  EncoderConfig config = SmallConfig();
  config.intermediate_size = 41;
  EXPECT_EQ(Encoder::Load(folder, config).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(Encoder::Load(folder, config).status().message().find("[40, 24]"), std::string::npos);
  config = SmallConfig();
  config.layers = 4;
  EXPECT_EQ(Encoder::Load(folder, config).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(Encoder::Load(folder, config).status().message().find("encoder.layer.3."), std::string::npos);
}

}  // namespace
}  // namespace muster
