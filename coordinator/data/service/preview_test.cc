#include "coordinator/data/service/preview.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

constexpr uint64_t kHidden = 384, kInner = 1536, kLayers = 6;

EncoderConfig MiniLm() {
  EncoderConfig config;
  config.hidden_size = kHidden;
  config.layers = kLayers;
  config.heads = 12;
  config.intermediate_size = kInner;
  return config;
}

uint64_t BytesOf(const muster::v1::JobSpec& spec) { return EstimateBytesPerRank(MiniLm(), spec, kHidden, 0).value(); }

// Adapters of a high rank are larger than the model.
TEST(MemoryEstimate, CountsWhatIsTrainedWithItsMomentsAndFixedWeightsOnce) {
  muster::v1::JobSpec spec;
  const uint64_t weights = BytesOf(spec) / 16;
  EXPECT_EQ(weights, 22565376) << "as the model's file has, with its positions and without the pooler";
  for (const uint64_t rank : {uint64_t{16}, uint64_t{1024}}) {
    spec.mutable_model()->mutable_lora()->set_rank(static_cast<uint32_t>(rank));
    const uint64_t of_layer = 4 * rank * (kHidden + kHidden) + 2 * rank * (kHidden + kInner);
    EXPECT_EQ(BytesOf(spec), 4 * weights + 16 * kLayers * of_layer);
  }
  spec.mutable_model()->mutable_lora()->add_targets("query");
  EXPECT_EQ(BytesOf(spec), 4 * weights + 16 * kLayers * 1024 * (kHidden + kHidden));
}

TEST(MemoryEstimate, CountsWhatIsFrozenOnce) {
  muster::v1::JobSpec spec;
  const uint64_t whole = BytesOf(spec);
  spec.mutable_model()->add_freeze("embeddings");
  const uint64_t embeddings = (30522 + 512 + 2 + 2) * kHidden;
  EXPECT_EQ(BytesOf(spec), whole - 12 * embeddings);
}

TEST(MemoryEstimate, RefusesATargetThatTheModelDoesNotHave) {
  muster::v1::JobSpec spec;
  spec.mutable_model()->mutable_lora()->add_targets("q_proj");
  EXPECT_EQ(EstimateBytesPerRank(MiniLm(), spec, kHidden, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace muster
