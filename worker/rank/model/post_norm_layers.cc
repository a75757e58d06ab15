// BERT and similar models: LayerNorm comes after each sum.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/log.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/where.h>

#include <cmath>
#include <utility>

#include "common/model/families/family.h"
#include "worker/rank/model/attention.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/layer_segment.h"
#include "worker/rank/model/layers.h"

namespace muster {
namespace {

// Bucket of each distance key - query from -(longest - 1) to longest - 1. float32 as in transformers' MPNetEncoder,
// whose roundings decide where a bucket ends.
at::Tensor RelativeBuckets(int64_t longest) {
  constexpr int64_t kHalf = kRelativeBuckets / 2, kExact = kHalf / 2;
  constexpr double kFarthest = 128;
  const at::Tensor ahead = at::arange(1 - longest, longest, at::kLong), apart = ahead.abs();
  const at::Tensor far = kExact + (at::log(apart.to(at::kFloat) / kExact) / std::log(kFarthest / kExact) *
                                   static_cast<double>(kHalf - kExact))
                                      .to(at::kLong);
  const at::Tensor bucket = at::where(apart.lt(kExact), apart, at::minimum(far, at::full_like(far, kHalf - 1)));
  return bucket + ahead.gt(0).to(at::kLong) * kHalf;
}

class PostNormLayers final : public Layers {
 public:
  PostNormLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16);
  at::Tensor Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const override;
  std::vector<Linear*> Products() override { return segments_.NewProducts(); }

 private:
  const EncoderConfig& config_;
  at::Tensor relative_bias_;
  Segments segments_;
};

PostNormLayers::PostNormLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16) : config_(config) {
  const PostNormNames& names = *FamilyOf(config).post_norm;
  const auto table = [&](std::string_view name) { return weights.Get(std::string(name) + ".weight"); };
  const auto norm = [&](const std::string& name) { return weights.GetNorm(name, config.layer_norm_epsilon); };
  const auto in_layer = [&](int64_t layer, std::string_view name) {
    return std::string(names.layer) + std::to_string(layer) + "." + std::string(name);
  };
  const auto product = [&](int64_t layer, std::string_view name) { return weights.GetLinear({in_layer(layer, name)}); };
  // Queries, keys and values are computed where x is: in the segment before their attention.
  const auto qkv = [&](int64_t layer) {
    return layer == config.layers ? Linear()
                                  : weights.GetLinear({in_layer(layer, names.query), in_layer(layer, names.key),
                                                       in_layer(layer, names.value)});
  };
  segments_.embeddings->words = table(kWordEmbeddings);
  segments_.embeddings->positions = table(kPositionEmbeddings);
  if (!names.types.empty()) segments_.embeddings->types = table(names.types);
  if (!names.relative_bias.empty()) relative_bias_ = table(names.relative_bias);
  segments_.embeddings->norm = norm(std::string(kEmbeddingNorm));
  segments_.embeddings->next = qkv(0);
  segments_.embeddings->bfloat16 = bfloat16;
  for (int64_t i = 0; i < config.layers; ++i) {
    auto layer = c10::make_intrusive<LayerSegment>();
    layer->index = i;
    layer->activation = ActivationFrom(config.activation);
    layer->attention_output = product(i, names.attention_output);
    layer->inner = product(i, names.intermediate);
    layer->output = product(i, names.output);
    layer->norm1 = norm(in_layer(i, names.attention_norm));
    layer->norm2 = norm(in_layer(i, names.output_norm));
    layer->next = qkv(i + 1);
    segments_.layers.push_back(std::move(layer));
  }
}

at::Tensor PostNormLayers::Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  AttentionForm form{.heads = config_.heads};
  if (relative_bias_.defined()) {
    form.distance_bias = at::embedding(relative_bias_, RelativeBuckets(plan->longest).to(tokens.device()));
  }
  const SegmentCallPtr call = MakeCall(tokens, dropout, plan);
  call->positions = config_.pad_token < 0 ? plan->positions : PositionsWithout(config_.pad_token, tokens, *plan);
  std::vector<at::Tensor> x = RunSegment(segments_.embeddings, {}, call);
  for (size_t i = 0; i < segments_.layers.size(); ++i) {
    const at::Tensor context = PackedAttention(x[1], form, call->attention, static_cast<int64_t>(i), plan);
    x = RunSegment(segments_.layers[i], {context, x[0]}, call);
  }
  return x[0];
}

}  // namespace

std::unique_ptr<Layers> MakePostNormLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16) {
  return std::make_unique<PostNormLayers>(config, weights, bfloat16);
}

}  // namespace muster
