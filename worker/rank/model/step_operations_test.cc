// Counts the operations of an encoder's step. On a GPU each is a launch, so a fixed small number, for any lengths, makes the
// step fast. Both devices run the same sequence, so the CPU's is counted.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>
#include <set>

#include "worker/rank/model/attention.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/model/testing/family_configs.h"
#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

// These only create views.
const std::set<std::string, std::less<>> kFree = {"aten::alias",      "aten::as_strided", "aten::contiguous",
                                                  "aten::detach",     "detach",           "aten::empty",
                                                  "aten::empty_like", "aten::expand",     "aten::empty_strided",
                                                  "aten::narrow",     "aten::reshape",    "aten::resolve_conj",
                                                  "aten::select",     "aten::slice",      "aten::squeeze",
                                                  "aten::t",          "aten::transpose",  "aten::unsqueeze",
                                                  "aten::view",       "aten::flatten",    "aten::_reshape_alias"};
// These wait for a GPU.
const std::set<std::string, std::less<>> kWaiting = {"aten::item",       "aten::_local_scalar_dense", "aten::nonzero",
                                                     "aten::is_nonzero", "aten::masked_select",       "aten::equal"};

struct Counts {
  int64_t operations = 0, waiting = 0;
  std::map<std::string, int> by_name;
};
Counts* counts = nullptr;  // for the calls in progress, which belong to this thread
int depth = 0;

struct Entered : at::ObserverContext {
  bool counted = false;
};

std::unique_ptr<at::ObserverContext> OnEnter(const at::RecordFunction& function) {
  auto entered = std::make_unique<Entered>();
  if (counts == nullptr || kFree.contains(function.name())) return entered;
  if (kWaiting.contains(function.name())) ++counts->waiting;
  entered->counted = true;
  if (depth++ > 0) return entered;  // part of another operation
  ++counts->operations;
  ++counts->by_name[function.name()];
  return entered;
}

void OnExit(const at::RecordFunction&, at::ObserverContext* context) {
  if (static_cast<Entered*>(context)->counted) --depth;
}

template <typename Calls>
Counts CountOf(const Calls& calls) {
  Counts result;
  counts = &result;
  const auto handle =
      at::addThreadLocalCallback(at::RecordFunctionCallback(OnEnter, OnExit).scopes({at::RecordScope::FUNCTION}));
  calls();
  at::removeCallback(handle);
  counts = nullptr;
  return result;
}

struct Step {
  Counts forward, backward;
};

Step StepOf(const EncoderConfig& config, const std::vector<int64_t>& lengths, double dropout) {
  const auto encoder = Encoder::Random(config, 1).value();
  for (Parameter& parameter : encoder->parameters()) parameter.value.mutable_grad() = at::zeros_like(parameter.value);
  const PackedBatch batch = RandomBatch(config, lengths, 1);
  at::Tensor embeddings;
  Step step;
  step.forward = CountOf(
      [&] { embeddings = encoder->Encode(batch, {.hidden = dropout, .attention = dropout, .seed = 1, .step = 1}); });
  const at::Tensor gradient = at::ones_like(embeddings);
  step.backward = CountOf([&] { torch::autograd::backward({embeddings}, {gradient}); });
  return step;
}

// Only the operations of PackedAttention().
Step AttentionOf(const EncoderConfig& config, const std::vector<int64_t>& lengths, double dropout) {
  const PackedBatch batch = RandomBatch(config, lengths, 1);
  const SequencePlanPtr plan = MakeSequencePlan(batch, {.attention = dropout, .seed = 1, .step = 1});
  const at::Tensor qkv = at::randn({plan->rows, 3 * config.hidden_size}).set_requires_grad(true);
  at::Tensor out;
  Step step;
  step.forward = CountOf([&] { out = PackedAttention(qkv, {.heads = config.heads}, DropoutRate(dropout), 0, plan); });
  qkv.mutable_grad() = at::zeros_like(qkv);
  const at::Tensor gradient = at::ones_like(out);
  // Without the addition to the leaf.
  step.backward = CountOf([&] { torch::autograd::backward({out}, {gradient}); });
  step.backward.operations -= step.backward.by_name["aten::add_"];
  return step;
}

struct PerLayer {
  int64_t forward, backward;
};

PerLayer LayerOf(EncoderConfig config, const std::vector<int64_t>& lengths, double dropout) {
  config.layers = 2;
  const Step two = StepOf(config, lengths, dropout);
  config.layers = 4;
  const Step four = StepOf(config, lengths, dropout), attention = AttentionOf(config, lengths, dropout);
  for (const Counts* one : {&four.forward, &four.backward}) EXPECT_EQ(one->waiting, 0) << "waits for a device";
  return {(four.forward.operations - two.forward.operations) / 2 - attention.forward.operations,
          (four.backward.operations - two.backward.operations) / 2 - attention.backward.operations};
}

TEST(StepOperations, ALayerTakesAsManyForAnyLengths) {
  at::set_num_threads(1);
  for (const double dropout : {0.0, 0.1}) {
    const PerLayer equal = LayerOf(SmallConfig(), std::vector<int64_t>(20, 7), dropout);
    std::vector<int64_t> lengths;
    for (int64_t length = 1; length <= 20; ++length) lengths.push_back(length);
    const PerLayer ragged = LayerOf(SmallConfig(), lengths, dropout);
    std::cout << "dropout " << dropout << ": besides attention, " << equal.forward << " operations forward, "
              << equal.backward << " backward\n";
    EXPECT_EQ(ragged.forward, equal.forward);
    EXPECT_EQ(ragged.backward, equal.backward);
    // Attention takes one more each: 12 and 20 in all.
    EXPECT_LE(equal.forward, 11);
    EXPECT_LE(equal.backward, 19);
  }
}

// The operations around the layers: embeddings, pooling, normalization.
TEST(StepOperations, WhatIsAroundTheLayersTakesAsManyForAnyLengths) {
  at::set_num_threads(1);
  const auto around = [](const std::vector<int64_t>& lengths) {
    EncoderConfig config = SmallConfig();
    config.layers = 1;
    const Step step = StepOf(config, lengths, 0.1), attention = AttentionOf(config, lengths, 0.1);
    return PerLayer{step.forward.operations - attention.forward.operations,
                    step.backward.operations - attention.backward.operations};
  };
  const PerLayer equal = around(std::vector<int64_t>(10, 7)), ragged = around({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  EXPECT_EQ(ragged.forward, equal.forward);
  EXPECT_EQ(ragged.backward, equal.backward);
}

// A parameter's gradient is accumulated in place: no temporary of its size, and no separate addition.
TEST(StepOperations, WeightGradientsAreAddedByTheProducts) {
  at::set_num_threads(1);
  EncoderConfig config = SmallConfig();
  config.normalize = false;  // torch would normalize with several operations
  const Step step = StepOf(config, {3, 3, 5}, 0.1);
  for (const char* name : {"aten::add", "aten::add_", "aten::zeros_like"}) {
    EXPECT_FALSE(step.backward.by_name.contains(name)) << name;
  }
}

// grad() returns separate gradients even if parameters hold some already; backward() adds the same numbers to those.
TEST(StepOperations, GradLeavesTheGradientsOfParametersAlone) {
  const auto encoder = Encoder::Random(SmallConfig(), 1, at::kDouble).value();
  std::vector<at::Tensor> values;
  for (Parameter& parameter : encoder->parameters()) {
    parameter.value.mutable_grad() = at::ones_like(parameter.value);
    values.push_back(parameter.value);
  }
  const PackedBatch batch = RandomBatch(SmallConfig(), {3, 3, 5}, 1);
  const auto gradients = torch::autograd::grad({encoder->Encode(batch, {}).sin().sum()}, values);
  for (const at::Tensor& value : values) EXPECT_TRUE(at::equal(value.grad(), at::ones_like(value)));
  torch::autograd::backward({encoder->Encode(batch, {}).sin().sum()}, {});
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_LE((values[i].grad() - 1 - gradients[i]).abs().max().item<double>(), 1e-12) << encoder->parameters()[i].name;
  }
  EXPECT_GT(gradients[0].abs().max().item<double>(), 1e-6);
}

}  // namespace
}  // namespace muster
