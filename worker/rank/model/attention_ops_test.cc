// Attention on the CPU against products of dense tensors in float64. Its results must not depend on threads or neighbors.
#include "worker/rank/model/attention_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <iostream>
#include <numeric>
#include <string>

#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

struct Case {
  std::string name;
  int64_t d = 32;
  int64_t heads = 2, key_value_heads = 0;
  bool causal = false;
  int64_t window = 0;
  std::vector<int64_t> lengths = {1, 7, 33, 33, 100, 511};
  bool bias = false;
};

std::vector<Case> Cases() {
  return {{.name = "d 32", .heads = 3},
          {.name = "d 7", .d = 7, .heads = 2},
          {.name = "d 40", .d = 40, .heads = 2},
          {.name = "d 64", .d = 64, .heads = 2},
          {.name = "d 128, short", .d = 128, .heads = 2, .lengths = {1, 2, 15, 16, 17, 30, 47, 48, 49}},
          {.name = "causal, shared keys", .heads = 4, .key_value_heads = 2, .causal = true},
          {.name = "window 5", .heads = 2, .window = 5},
          {.name = "window 64, causal", .heads = 2, .causal = true, .window = 64},
          {.name = "bias", .heads = 2, .bias = true},
          {.name = "bias, causal, shared keys",
           .d = 9,
           .heads = 4, .key_value_heads = 1, .causal = true,
           .bias = true}};
}

AttentionForm FormOf(const Case& c) {
  return {.heads = c.heads, .key_value_heads = c.key_value_heads, .causal = c.causal, .window = c.window};
}

SequencePlanPtr PlanOf(const std::vector<int64_t>& lengths, uint32_t first_slot = 0) {
  PackedBatch batch{.tokens = at::zeros({std::accumulate(lengths.begin(), lengths.end(), int64_t{0})}, at::kLong),
                    .lengths = lengths};
  for (uint32_t s = 0; s < lengths.size(); ++s) batch.slots.push_back(first_slot + s);
  return MakeSequencePlan(batch, {.attention = 0.1, .seed = 5, .step = 2});
}

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kFloat));
}

int64_t RowWidth(const Case& c) { return (c.heads + 2 * FormOf(c).KeyValueHeads()) * c.d; }

struct Results {
  at::Tensor out, lse, d_qkv, d_bias;
};

Results Attend(const AttentionOps& ops, const AttentionForm& form, const AttentionMask& mask, const SequencePlan& plan,
            const at::Tensor& qkv, const at::Tensor& d_out) {
  EXPECT_TRUE(ops.Takes(qkv, form, mask, plan));
  const AttentionResult result = ops.Forward(qkv, form, mask, plan);
  const AttentionGradients gradients = ops.Backward(d_out, qkv, result, form, mask, plan);
  return {result.out, result.lse, gradients.qkv, gradients.distance_bias};
}

double Distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b).norm() / b.norm()).item<double>();
}

void ExpectTheDefinition(const Case& c, double probability, at::ScalarType type, double bound) {
  const SequencePlanPtr plan = PlanOf(c.lengths);
  const at::Tensor qkv = Normal({plan->rows, RowWidth(c)}, 1).mul_(1.5).to(type),
                   d_out = Normal({plan->rows, c.heads * c.d}, 2).to(type);
  AttentionForm form = FormOf(c), exact_form = FormOf(c);
  if (c.bias) {
    form.distance_bias = Normal({2 * plan->longest - 1, c.heads}, 3);
    exact_form.distance_bias = form.distance_bias.to(at::kDouble);
  }
  const AttentionMask mask{DropoutRate(probability), 3};
  const Results fused = Attend(CpuAttentionOps(), form, mask, *plan, qkv, d_out),
                exact = Attend(DenseAttentionOps(), exact_form, mask, *plan, qkv.to(at::kDouble), d_out.to(at::kDouble));
  const double out = Distance(fused.out, exact.out), gradient = Distance(fused.d_qkv, exact.d_qkv),
               bias = c.bias ? Distance(fused.d_bias, exact.d_bias) : 0;
  std::cout << c.name << ", " << type << ", dropout " << probability << ": output " << out << ", gradients " << gradient
            << ", of the bias " << bias << "\n";
  EXPECT_LE(out, bound) << c.name;
  EXPECT_LE(gradient, bound) << c.name;
  EXPECT_LE(bias, bound) << c.name;
}

TEST(AttentionOfTheCpu, IsItsDefinitionInEveryForm) {
  at::set_num_threads(1);
  for (const Case& c : Cases()) {
    for (const double probability : {0.0, 0.1, 0.6}) ExpectTheDefinition(c, probability, at::kFloat, 2e-6);
    ExpectTheDefinition(c, 0.1, at::kBFloat16, 1e-2);
  }
}

// Keys of zeros weigh all values equally, and values of unit vectors show which were kept.
TEST(AttentionOfTheCpu, DrawsTheMasksOfApplyMask) {
  at::set_num_threads(1);
  constexpr int64_t kHeads = 3, d = 128, kLayer = 4;
  const DropoutRate rate(0.3);
  const SequencePlanPtr plan = PlanOf({1, 7, 33, 90, 128});
  at::Tensor qkv = at::zeros({plan->rows, 3 * kHeads * d}, at::kFloat);
  for (size_t s = 0; s < plan->lengths.size(); ++s) {
    for (int64_t t = 0; t < plan->lengths[s]; ++t) {
      for (int64_t head = 0; head < kHeads; ++head) qkv[plan->first_rows[s] + t][(2 * kHeads + head) * d + t] = 1;
    }
  }
  const at::Tensor out = CpuAttentionOps().Forward(qkv, {.heads = kHeads}, {rate, kLayer}, *plan).out;
  for (size_t s = 0; s < plan->lengths.size(); ++s) {
    const int64_t length = plan->lengths[s];
    at::Tensor mask = at::ones({kHeads, length, length}, at::kFloat);
    float* data = mask.mutable_data_ptr<float>();
    ApplyMask(DropoutKey(plan->keys[s], {kLayer, DropoutSite::kProbabilities}), rate, mask.numel(), data, data);
    const at::Tensor kept = out.narrow(0, plan->first_rows[s], length)
                                .view({length, kHeads, d})
                                .narrow(2, 0, length)
                                .transpose(0, 1)
                                .gt(0);
    EXPECT_TRUE(at::equal(kept, mask.gt(0))) << "length " << length;
  }
}

// A sequence's rows have the same bits alone and among others, with one thread and with several.
TEST(AttentionOfTheCpu, DependsNeitherOnNeighborsNorOnThreads) {
  for (const Case& c : Cases()) {
    const SequencePlanPtr plan = PlanOf(c.lengths);
    const at::Tensor qkv = Normal({plan->rows, RowWidth(c)}, 1), d_out = Normal({plan->rows, c.heads * c.d}, 2);
    AttentionForm form = FormOf(c);
    if (c.bias) form.distance_bias = Normal({2 * plan->longest - 1, c.heads}, 3);
    const AttentionMask mask{DropoutRate(0.1), 3};
    at::set_num_threads(1);
    const Results all = Attend(CpuAttentionOps(), form, mask, *plan, qkv, d_out);
    at::set_num_threads(3);
    const Results threaded = Attend(CpuAttentionOps(), form, mask, *plan, qkv, d_out);
    at::set_num_threads(1);
    EXPECT_TRUE(at::equal(all.out, threaded.out)) << c.name;
    EXPECT_TRUE(at::equal(all.lse, threaded.lse)) << c.name;
    EXPECT_TRUE(at::equal(all.d_qkv, threaded.d_qkv)) << c.name;
    if (c.bias) {
      EXPECT_TRUE(at::equal(all.d_bias, threaded.d_bias)) << c.name;
    }
    for (size_t s = 0; s < c.lengths.size(); ++s) {
      const SequencePlanPtr own = PlanOf({c.lengths[s]}, static_cast<uint32_t>(s));
      const int64_t first = plan->first_rows[s], length = c.lengths[s];
      AttentionForm alone_form = form;
      if (c.bias) {
        alone_form.distance_bias = form.distance_bias.narrow(0, plan->longest - length, 2 * length - 1).contiguous();
      }
      const Results alone = Attend(CpuAttentionOps(), alone_form, mask, *own, qkv.narrow(0, first, length).contiguous(),
                                d_out.narrow(0, first, length).contiguous());
      EXPECT_TRUE(at::equal(alone.out, all.out.narrow(0, first, length))) << c.name << ", length " << length;
      EXPECT_TRUE(at::equal(alone.d_qkv, all.d_qkv.narrow(0, first, length))) << c.name << ", length " << length;
    }
  }
}

TEST(AttentionOfTheCpu, IsTheSameBitsWhereNoBackwardFollows) {
  at::set_num_threads(1);
  for (const Case& c : Cases()) {
    const SequencePlanPtr plan = PlanOf(c.lengths);
    const at::Tensor qkv = Normal({plan->rows, RowWidth(c)}, 1);
    AttentionForm form = FormOf(c);
    if (c.bias) form.distance_bias = Normal({2 * plan->longest - 1, c.heads}, 3);
    const AttentionResult both = CpuAttentionOps().Forward(qkv, form, {DropoutRate(0), 3}, *plan);
    form.backward = false;
    const AttentionResult alone = CpuAttentionOps().Forward(qkv, form, {DropoutRate(0), 3}, *plan);
    EXPECT_TRUE(at::equal(both.out, alone.out)) << c.name;
    EXPECT_FALSE(alone.lse.defined()) << c.name;
  }
}

class Counting final : public AttentionOps {
 public:
  bool Takes(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
             const SequencePlan& plan) const override {
    return CpuAttentionOps().Takes(qkv, form, mask, plan);
  }
  AttentionResult Forward(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                          const SequencePlan& plan) const override {
    ++forward;
    return CpuAttentionOps().Forward(qkv, form, mask, plan);
  }
  AttentionGradients Backward(const at::Tensor& d_out, const at::Tensor& qkv, const AttentionResult& result,
                              const AttentionForm& form, const AttentionMask& mask,
                              const SequencePlan& plan) const override {
    ++backward;
    return CpuAttentionOps().Backward(d_out, qkv, result, form, mask, plan);
  }
  mutable int forward = 0, backward = 0;
};

TEST(AttentionOfTheCpu, IsOneCallPerLayerHoweverManyLengthsABatchHas) {
  EncoderConfig config;
  config.vocabulary_size = 100;
  config.hidden_size = 32;
  config.layers = 3;
  config.heads = 2;
  config.intermediate_size = 64;
  const auto encoder = Encoder::Random(config, 1).value();
  static Counting counting;
  RegisterAttentionOps(c10::DeviceType::CPU, counting);
  const at::Tensor embeddings = encoder->Encode(RandomBatch(config, {3, 4, 5, 6, 7, 8, 9, 10}, 1),
                                                {.hidden = 0.1, .attention = 0.1, .seed = 1, .step = 1});
  torch::autograd::backward({embeddings.sum()}, {});
  RegisterAttentionOps(c10::DeviceType::CPU, CpuAttentionOps());
  EXPECT_EQ(counting.forward, config.layers);
  EXPECT_EQ(counting.backward, config.layers);
}

}  // namespace
}  // namespace muster
