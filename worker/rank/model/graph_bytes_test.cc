// Compares GraphBytes with the memory that torch's allocator actually hands out.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <atomic>
#include <iostream>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

// Sums what the CPU allocator hands out and takes back in this thread.
class Meter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    live_ += bytes;
    peak_ = std::max(peak_, live_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t live() const { return live_; }
  int64_t peak() const { return peak_; }

 private:
  int64_t live_ = 0, peak_ = 0;
};

TEST(GraphBytes, IsNearWhatTheAllocatorHandsOutForMiniLm) {
  at::set_num_threads(1);  // several would wait for each other on a busy machine; bytes do not depend on it
  EncoderConfig config;
  config.vocabulary_size = 1000;
  config.hidden_size = 384;
  config.layers = 6;
  config.heads = 12;
  config.intermediate_size = 1536;
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 60; ++i) lengths.push_back(8 + i);
  const PackedBatch batch = RandomBatch(config, lengths, 1);
  const std::vector<std::pair<double, bool>> cases = {{0.0, false}, {0.1, false}, {0.0, true}, {0.1, true}};
  for (const auto& [dropout, bfloat16] : cases) {
    const auto encoder = Encoder::Random(config, 1, {at::kFloat, at::kCPU, bfloat16}).value();
    {
      const at::NoGradGuard no_grad;
      encoder->Encode(RandomBatch(config, {1}, 1), {});  // makes the weights' copies, which belong to no graph
    }
    auto meter = std::make_shared<Meter>();
    at::Tensor embeddings;
    {
      const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
      embeddings = encoder->Encode(batch, {.hidden = dropout, .attention = dropout, .seed = 1, .step = 1});
    }
    const double estimate = static_cast<double>(Encoder::GraphBytes(config, batch, bfloat16));
    std::cout << "dropout " << dropout << (bfloat16 ? ", bfloat16" : "") << ": estimate " << estimate / 1e6
              << " MB, kept " << meter->live() / 1e6
              << " MB, peak " << meter->peak() / 1e6 << " MB\n";
    EXPECT_NEAR(estimate / meter->live(), 1, 0.05);
    EXPECT_NEAR(estimate / meter->peak(), 1, 0.3);
    EXPECT_GE(estimate, meter->live() * 0.999);
  }
}

// For every family, pooling and Dense module, with and without adapters: never less than what is kept, and not far more.
TEST(GraphBytes, IsAnUpperEstimateForEveryFamily) {
  at::set_num_threads(1);  // several would wait for each other on a busy machine; bytes do not depend on it
  for (const std::string& name : FamilyNames()) {
    EncoderConfig config;
    config.architecture = name;
    config.vocabulary_size = 1000;
    config.hidden_size = 192;
    config.heads = 6;
    config.intermediate_size = 384;
    config.layers = 4;
    if (name == "mpnet") config.relative_buckets = 32;
    if (name == "roberta" || name == "xlm-roberta" || name == "mpnet") config.pad_token = 1;
    if (name == "modernbert" || name == "qwen3") config.rope_theta = config.local_rope_theta = 10000;
    if (name == "modernbert") {
      config.attention_bias = config.feed_forward_bias = config.norm_bias = false;
      config.window = 16;
      config.local = {false, true, true, false};
    }
    if (name == "qwen3") {
      config.attention_bias = false;
      config.key_value_heads = 2;
      config.head_size = 48;
      config.activation = "silu";
    }
    config.dense = {{.folder = "2_Dense", .in = 192, .out = 64}};
    std::vector<int64_t> lengths;
    for (int64_t i = 0; i < 40; ++i) lengths.push_back(8 + i);
    PackedBatch batch = RandomBatch(config, lengths, 1);
    for (const auto& [dropout, bfloat16, pooling, rank] :
         {std::tuple(0.0, false, PoolingMode::kMean, 0), {0.1, false, PoolingMode::kLast, 0},
          {0.0, true, PoolingMode::kMax, 0}, {0.1, true, PoolingMode::kMean, 0},
          {0.0, false, PoolingMode::kWeightedMean, 0}, {0.0, false, PoolingMode::kMean, 64},
          {0.1, false, PoolingMode::kMean, 64}, {0.1, true, PoolingMode::kMean, 64}}) {
      config.pooling = pooling;
      config.lora.rank = rank;
      batch.unpooled.assign(bfloat16 ? lengths.size() : 0, 2);
      const auto encoder = Encoder::Random(config, 1, {at::kFloat, at::kCPU, bfloat16}).value();
      {
        const at::NoGradGuard no_grad;
        encoder->Encode(RandomBatch(config, {1}, 1), {});
      }
      auto meter = std::make_shared<Meter>();
      at::Tensor embeddings;
      {
        const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
        embeddings = encoder->Encode(batch, {.hidden = dropout, .attention = dropout, .seed = 1, .step = 1});
      }
      const double estimate = static_cast<double>(Encoder::GraphBytes(config, batch, bfloat16));
      const std::string what = absl::StrCat(name, ", dropout ", dropout, bfloat16 ? ", bfloat16" : "", ", rank ", rank);
      std::cout << what << ": estimate over kept " << estimate / meter->live() << "\n";
      EXPECT_GE(estimate, meter->live() * 0.999) << what;
      EXPECT_LE(estimate, meter->live() * 1.35) << what;
    }
  }
}

}  // namespace
}  // namespace muster
