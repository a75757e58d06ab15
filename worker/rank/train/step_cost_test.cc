#include "worker/rank/train/step_cost.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "worker/rank/product/cpu_product.h"

namespace muster {
namespace {

EncoderConfig Small() {
  EncoderConfig config;
  config.hidden_size = 8;
  config.heads = 2;
  config.intermediate_size = 16;
  config.layers = 3;
  return config;
}

TEST(StepOperations, CountsProductsByTokensAndAttentionByPairsWithinSequences) {
  const PackedBatch batch{.lengths = {3, 5}};
  // Per layer 4 products of [8, 8] and 2 of [8, 16].
  const double weights = 3 * (4 * 64 + 2 * 128), pairs = 3 * (9 + 25);
  EXPECT_EQ(StepOperations(Small(), {&batch, 1}), 6 * weights * 8 + 12 * 8 * pairs);
}

TEST(StepOperations, DoesNotDependOnTheCutIntoMicroBatches) {
  const PackedBatch whole{.lengths = {3, 5}};
  const PackedBatch parts[] = {{.lengths = {3}}, {.lengths = {5}}};
  EXPECT_EQ(StepOperations(Small(), {&whole, 1}), StepOperations(Small(), parts));
}

TEST(StepOperations, ALocalLayerSeesItsWindowAlone) {
  EncoderConfig config = Small();
  config.window = 1;
  config.local = {true, false, true};
  const PackedBatch batch{.lengths = {10}};
  EXPECT_EQ(StepOperations(Small(), {&batch, 1}) - StepOperations(config, {&batch, 1}), 12 * 8 * 2 * (100 - 30));
}

TEST(StepOperations, FixedWeightsGetNoGradient) {
  EncoderConfig adapted = Small();
  adapted.lora.rank = 4;
  const PackedBatch batch{.lengths = {1}};
  EXPECT_EQ(StepOperations(Small(), {&batch, 1}) - StepOperations(adapted, {&batch, 1}), 2 * 3 * (4 * 64 + 2 * 128));
}

TEST(StepOperations, FrozenLayersInFrontAreComputedForwardAlone) {
  EncoderConfig frozen = Small();
  const PackedBatch batch{.lengths = {3}};
  const double weights = 4 * 64 + 2 * 128, pairs = 8 * 9;  // per layer, of width 8
  frozen.frozen = {"embeddings", "layers.0"};
  EXPECT_EQ(StepOperations(frozen, {&batch, 1}), (2 + 6 + 6) * weights * 3 + (4 + 12 + 12) * pairs);
  frozen.frozen = {"layers.0"};
  EXPECT_EQ(StepOperations(frozen, {&batch, 1}), (4 + 6 + 6) * weights * 3 + 3 * 12 * pairs)
      << "the embeddings' gradients pass through it";
}

TEST(ProductRate, IsMeasuredInEveryTypeOfAnEncoder) {
  at::set_num_threads(1);
  EXPECT_GT(MeasureProductRate(Small(), {}), 0);
  EXPECT_GT(MeasureProductRate(Small(), {at::kDouble}), 0);
  EXPECT_GT(MeasureProductRate(Small(), {at::kFloat, at::kCPU, /*in_bfloat16=*/true}), 0);
}

// Otherwise the reported share of the peak, and the advice on bfloat16, would compare with a rate that no step reaches.
TEST(ProductRate, IsThatOfTheProductThatTheEncoderComputesWith) {
  static thread_local std::set<std::string> seen;
  seen.clear();
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(
      [](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
        seen.insert(function.name());
        return nullptr;
      }));
  MeasureProductRate(Small(), {});
  at::removeCallback(handle);
  EXPECT_EQ(seen.contains("muster::Product"), UsesOwnProducts());
  EXPECT_EQ(seen.contains("aten::mm"), !UsesOwnProducts());
}

// A rate of float32 that is low beyond any doubt makes bfloat16 faster wherever the processor has it.
TEST(PrecisionAdvice, NamesTheGainOfBfloat16WhereTheProcessorHasIt) {
  at::set_num_threads(1);
  const std::string advice = PrecisionAdvice(Small(), {}, /*product_rate=*/1);
  EXPECT_THAT(advice, testing::HasSubstr(ProcessorHasBfloat16() ? "precision: bf16" : ""));
  EXPECT_EQ(advice.empty(), !ProcessorHasBfloat16());
}

TEST(PrecisionAdvice, SaysNothingWhereThereIsNoGainOrNoChoice) {
  at::set_num_threads(1);
  EXPECT_EQ(PrecisionAdvice(Small(), {}, /*product_rate=*/1e30), "");
  EXPECT_EQ(PrecisionAdvice(Small(), {at::kDouble}, 1), "");
  EXPECT_EQ(PrecisionAdvice(Small(), {at::kFloat, at::kCPU, /*in_bfloat16=*/true}, 1), "");
}

TEST(PeakMemory, OfTheProcessOnACpu) { EXPECT_GT(PeakMemoryBytes(at::kCPU), 1 << 20); }

}  // namespace
}  // namespace muster
