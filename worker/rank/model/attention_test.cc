// Attention in bfloat16 against float64. Dropout must only add masks, not change the rounding of scores.
#include "worker/rank/model/attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <iostream>

namespace muster {
namespace {

constexpr int64_t kHeads = 2, kHidden = 32;
const std::vector<int64_t> kLengths = {5, 24, 24, 61};

struct Result {
  at::Tensor out, d_qkv;
};

// `qkv` holds numbers of bfloat16, so that casting rounds nothing.
Result Attend(const at::Tensor& qkv, at::ScalarType type, double probability) {
  PackedBatch batch{.tokens = at::zeros({qkv.size(0)}, at::kLong), .lengths = kLengths};
  for (uint32_t slot = 0; slot < kLengths.size(); ++slot) batch.slots.push_back(slot);
  const SequencePlanPtr plan = MakeSequencePlan(batch, {.attention = probability, .seed = 5, .step = 2});
  const at::Tensor leaf = qkv.to(type).detach().set_requires_grad(true);
  const at::Tensor out = PackedAttention(leaf, {.heads = kHeads}, DropoutRate(probability), /*layer=*/1, plan);
  const at::Tensor d_out = at::sin(at::arange(out.numel(), at::kDouble) * 0.37).view(out.sizes()).to(at::kBFloat16);
  return {out.detach().to(at::kDouble),
          torch::autograd::grad({out}, {leaf}, {d_out.to(type)})[0].to(at::kDouble)};
}

double RelativeDistance(const at::Tensor& a, const at::Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }

// Scores of about 30, where bfloat16's numbers are 1/8 apart: rounded to them, probabilities would be off by 6%.
TEST(AttentionInBfloat16, DropoutDoesNotRoundScores) {
  int64_t rows = 0;
  for (const int64_t length : kLengths) rows += length;
  auto generator = at::detail::createCPUGenerator(7);
  at::Tensor qkv = at::randn({rows, 3 * kHidden}, generator, at::TensorOptions().dtype(at::kDouble));
  qkv.narrow(1, 0, kHidden).add_(4);  // queries and keys of the same sign have large scores
  qkv.narrow(1, kHidden, kHidden).add_(2);
  qkv = qkv.to(at::kBFloat16);
  double plain_out = 0, plain_gradient = 0;
  for (const double probability : {0.0, 0.1, 0.5}) {
    const Result own = Attend(qkv, at::kBFloat16, probability), exact = Attend(qkv, at::kDouble, probability);
    const double out = RelativeDistance(own.out, exact.out), gradient = RelativeDistance(own.d_qkv, exact.d_qkv);
    std::cout << "dropout " << probability << ": output " << out << ", gradients " << gradient << "\n";
    if (probability == 0) {
      plain_out = out;
      plain_gradient = gradient;
    }
    // Fewer terms are averaged with dropout; the rounding is the same.
    EXPECT_LE(out, 1.5 * plain_out) << probability;
    EXPECT_LE(gradient, 1.5 * plain_gradient) << probability;
  }
  EXPECT_GT(plain_out, 1e-4) << "not computed in bfloat16";
}

}  // namespace
}  // namespace muster
