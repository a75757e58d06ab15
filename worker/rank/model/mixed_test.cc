// bfloat16 over float32 masters: compares the encoder with itself in float32, within what rounding allows.
#include "worker/rank/model/mixed.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <iostream>

#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

const std::vector<int64_t> kLengths = {1, 1, 2, 3, 3, 3, 7, 8, 8, 21};

// Two encoders of the same weights.
struct Pair {
  std::unique_ptr<Encoder> mixed, single;
};
Pair MakePair(EncoderConfig config) {
  Pair pair{Encoder::Random(config, 5, {at::kFloat, at::kCPU, /*bfloat16=*/true}).value(),
            Encoder::Random(config, 5).value()};
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < pair.single->parameters().size(); ++i) {
    auto generator = at::detail::createCPUGenerator(i + 1);
    const at::Tensor& value = pair.single->parameters()[i].value;
    value.add_(at::randn(value.sizes(), generator), 0.1);
    pair.mixed->parameters()[i].value.copy_(value);
  }
  return pair;
}

std::vector<at::Tensor> Gradients(const Encoder& encoder, const at::Tensor& embeddings, const PackedBatch& batch) {
  std::vector<at::Tensor> rows, leaves;
  for (const uint32_t slot : batch.slots) {
    rows.push_back(at::sin(at::arange(embeddings.size(1), embeddings.options()) * (slot + 1) * 0.7));
  }
  for (const Parameter& parameter : encoder.parameters()) leaves.push_back(parameter.value);
  return torch::autograd::grad({(embeddings * at::stack(rows).detach()).sum()}, leaves);
}

double RelativeDistance(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

// bfloat16 rounds by up to 2^-9 of a number. A path through 3 layers has some 30 roundings that are independent of each
// other: sqrt(30) * 2^-9 = 1.1% of an embedding; gradients pass them twice and are differences of larger numbers. A
// weight, mask or gradient in the wrong place changes results by their own size.
TEST(EncoderInBfloat16, IsNearFloat32WithAndWithoutDropout) {
  const Pair pair = MakePair(SmallConfig());
  const PackedBatch batch = RandomBatch(SmallConfig(), kLengths, 1);
  for (const Dropout& dropout : {Dropout{}, Dropout{.hidden = 0.1, .attention = 0.1, .seed = 5, .step = 2}}) {
    const at::Tensor mixed = pair.mixed->Encode(batch, dropout), single = pair.single->Encode(batch, dropout);
    EXPECT_EQ(mixed.scalar_type(), at::kFloat);
    const double distance = RelativeDistance(mixed, single);
    std::cout << "embeddings: relative distance " << distance << "\n";
    EXPECT_LT(distance, 0.011);
    EXPECT_GT(distance, 1e-4) << "not computed in bfloat16";
    const auto own = Gradients(*pair.mixed, mixed, batch), expected = Gradients(*pair.single, single, batch);
    double largest = 0;
    for (size_t i = 0; i < own.size(); ++i) {
      const std::string& name = pair.mixed->parameters()[i].name;
      EXPECT_EQ(own[i].scalar_type(), at::kFloat) << name;
      if (name.ends_with("key.bias")) continue;  // exactly 0 in theory
      largest = std::max(largest, RelativeDistance(own[i], expected[i]));
      EXPECT_LT(RelativeDistance(own[i], expected[i]), 0.04) << name;
    }
    std::cout << "gradients: largest relative distance " << largest << "\n";
  }
}

TEST(EncoderInBfloat16, SeesEveryChangeOfItsParametersAndKeptGraphsDoNot) {
  const Pair pair = MakePair(SmallConfig());
  const PackedBatch batch = RandomBatch(SmallConfig(), kLengths, 1);
  const at::Tensor before = pair.mixed->Encode(batch, {}), kept = pair.mixed->Encode(batch, {});
  const auto expected = Gradients(*pair.mixed, before, batch);
  {
    const at::NoGradGuard no_grad;
    for (Parameter& parameter : pair.mixed->parameters()) {
      if (parameter.name.ends_with("query.weight")) parameter.value.mul_(2);
    }
  }
  EXPECT_GT(RelativeDistance(pair.mixed->Encode(batch, {}), before), 0.02);
  // Masters are not part of a graph's saved tensors: the kept one is still differentiable, with the weights that it was
  // computed with.
  const auto gradients = Gradients(*pair.mixed, kept, batch);
  for (size_t i = 0; i < gradients.size(); ++i) EXPECT_TRUE(at::equal(gradients[i], expected[i]));
  const at::NoGradGuard no_grad;
  for (Parameter& parameter : pair.mixed->parameters()) {
    if (parameter.name.ends_with("query.weight")) parameter.value.mul_(0.5);
  }
  EXPECT_TRUE(at::equal(pair.mixed->Encode(batch, {}), before));
}

// Sums over micro-batches are float32: n equal parts must add up to n times one part.
TEST(EncoderInBfloat16, GradientsOfMicroBatchesAddUpInFloat32) {
  EncoderConfig config = SmallConfig();
  config.layers = 1;
  const Pair pair = MakePair(config);
  const PackedBatch batch = RandomBatch(config, {2}, 1);
  const auto one = Gradients(*pair.mixed, pair.mixed->Encode(batch, {}), batch);
  constexpr int kParts = 300;  // a sum in bfloat16 stops growing at 256 equal parts
  for (int i = 0; i < kParts; ++i) {
    const at::Tensor embeddings = pair.mixed->Encode(batch, {});
    const at::Tensor row = at::sin(at::arange(embeddings.size(1), embeddings.options()) * (batch.slots[0] + 1) * 0.7);
    torch::autograd::backward({(embeddings * row).sum()}, {});
  }
  for (size_t i = 0; i < one.size(); ++i) {
    const Parameter& parameter = pair.mixed->parameters()[i];
    const double scale = one[i].norm().item<double>() * kParts;
    EXPECT_LE((parameter.value.grad() - one[i] * kParts).norm().item<double>(), 1e-5 * scale + 1e-12) << parameter.name;
  }
}

TEST(EncoderInBfloat16, NeedsFloat32Parameters) {
  EXPECT_FALSE(Encoder::Random(SmallConfig(), 1, {at::kDouble, at::kCPU, true}).ok());
  EXPECT_FALSE(Encoder::Random(SmallConfig(), 1, at::kBFloat16).ok());
}

}  // namespace
}  // namespace muster
