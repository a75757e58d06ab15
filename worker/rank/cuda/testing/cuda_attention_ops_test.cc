// Attention with its kernels on the host, against dense products.
#include "worker/rank/cuda/cuda_attention_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "worker/rank/cuda/testing/host_plan.h"

namespace muster {
namespace {

// Dense products round probabilities and gradients of scores to bfloat16 as the kernel does.
TEST(CudaAttentionOps, IsTheDenseProducts) {
  const SequencePlanPtr plan = HostPlan({3, 66, 17});
  for (const bool causal : {false, true}) {
    const AttentionForm form{.heads = 4, .key_value_heads = 2, .causal = causal, .window = causal ? 0 : 20};
    const AttentionMask mask{DropoutRate(0.1), 5};
    const at::Tensor qkv = RandomTensor({plan->rows, 8 * 32}, at::kBFloat16, 1) * 2;
    const at::Tensor d_out = RandomTensor({plan->rows, 4 * 32}, at::kBFloat16, 2);
    ASSERT_TRUE(CudaAttentionOps().Takes(qkv, form, mask, *plan));
    const auto run = [&](const AttentionOps& ops) -> std::vector<at::Tensor> {
      const AttentionResult result = ops.Forward(qkv, form, mask, *plan);
      return {result.out, ops.Backward(d_out, qkv, result, form, mask, *plan).qkv};
    };
    const std::vector<at::Tensor> own = run(CudaAttentionOps()), expected = run(DenseAttentionOps());
    for (size_t i = 0; i < own.size(); ++i) {
      const at::Tensor a = own[i].to(at::kDouble), b = expected[i].to(at::kDouble);
      const double difference = ((a - b).square().sum() / b.square().sum()).sqrt().item<double>();
      std::printf("causal %d, result %zu: difference %.2g of the norm\n", causal, i, difference);
      EXPECT_LE(difference, 0.01);
    }
  }
}

TEST(CudaAttentionOps, LeavesOtherFormsToDenseProducts) {
  const SequencePlanPtr plan = HostPlan({3});
  const AttentionMask mask{DropoutRate(0.1), 0};
  const at::Tensor qkv = at::zeros({3, 3 * 64}, at::kBFloat16);
  EXPECT_TRUE(CudaAttentionOps().Takes(qkv, {.heads = 1}, mask, *plan));
  EXPECT_FALSE(CudaAttentionOps().Takes(qkv.to(at::kFloat), {.heads = 1}, mask, *plan));
  EXPECT_FALSE(CudaAttentionOps().Takes(qkv, {.heads = 4}, mask, *plan)) << "heads of 16";
  EXPECT_FALSE(CudaAttentionOps().Takes(qkv, {.heads = 1, .distance_bias = at::zeros({5, 1})}, mask, *plan));
}

}  // namespace
}  // namespace muster
