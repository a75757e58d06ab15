// BERT and its kin: LayerNorm stands after each sum.
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
#include "worker/rank/model/layers.h"

namespace muster {
namespace {

struct Layer {
  Linear qkv, attention_output, intermediate, output;
  Affine attention_norm, output_norm;
};

// Bucket of each distance key - query from -(longest - 1) to longest - 1. float32 as in transformers' MPNetEncoder, whose
// roundings decide where a bucket ends.
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
  std::vector<Linear*> Products() override;

 private:
  at::Tensor Embed(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const;
  at::Tensor RunLayer(int64_t index, const at::Tensor& x, const AttentionForm& form, const Dropout& dropout,
                      const SequencePlanPtr& plan) const;

  const EncoderConfig& config_;
  const bool bfloat16_;
  at::Tensor words_, positions_, types_, relative_bias_;
  Affine embedding_norm_;
  std::vector<Layer> layers_;
};

PostNormLayers::PostNormLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16)
    : config_(config), bfloat16_(bfloat16) {
  const PostNormNames& names = *FamilyOf(config).post_norm;
  const auto table = [&](std::string_view name) { return weights.Get(std::string(name) + ".weight"); };
  words_ = table(kWordEmbeddings);
  positions_ = table(kPositionEmbeddings);
  if (!names.types.empty()) types_ = table(names.types);
  if (!names.relative_bias.empty()) relative_bias_ = table(names.relative_bias);
  embedding_norm_ = weights.GetAffine(std::string(kEmbeddingNorm));
  for (int64_t i = 0; i < config.layers; ++i) {
    const auto in_layer = [&](std::string_view name) {
      return std::string(names.layer) + std::to_string(i) + "." + std::string(name);
    };
    layers_.push_back({.qkv = weights.GetLinear({in_layer(names.query), in_layer(names.key), in_layer(names.value)}),
                       .attention_output = weights.GetLinear({in_layer(names.attention_output)}),
                       .intermediate = weights.GetLinear({in_layer(names.intermediate)}),
                       .output = weights.GetLinear({in_layer(names.output)}),
                       .attention_norm = weights.GetAffine(in_layer(names.attention_norm)),
                       .output_norm = weights.GetAffine(in_layer(names.output_norm))});
  }
}

std::vector<Linear*> PostNormLayers::Products() {
  std::vector<Linear*> products;
  for (Layer& layer : layers_) {
    products.insert(products.end(), {&layer.qkv, &layer.attention_output, &layer.intermediate, &layer.output});
  }
  return products;
}

at::Tensor PostNormLayers::Embed(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  const at::Tensor words = EmbedTokens(words_, tokens);
  const at::Tensor rows =
      config_.pad_token < 0 ? Positions(*plan, tokens.device()) : PositionsWithout(config_.pad_token, tokens, *plan);
  at::Tensor places = at::embedding(positions_, rows);
  if (types_.defined()) places = places + types_.select(0, 0);
  at::Tensor x = LayerNorm(embedding_norm_, words + places, config_.layer_norm_epsilon);
  if (bfloat16_) x = x.to(at::kBFloat16);
  return DropoutAdd(x, {}, DropoutRate(dropout.hidden), {0, DropoutSite::kEmbeddings}, plan);
}

at::Tensor PostNormLayers::RunLayer(int64_t index, const at::Tensor& x, const AttentionForm& form,
                                    const Dropout& dropout, const SequencePlanPtr& plan) const {
  const Layer& layer = layers_[index];
  const DropoutRate hidden(dropout.hidden), attention(dropout.attention);
  const at::Tensor context = PackedAttention(Apply(layer.qkv, x), form, attention, index, plan);
  const at::Tensor attended = LayerNorm(
      layer.attention_norm,
      DropoutAdd(Apply(layer.attention_output, context), x, hidden, {index, DropoutSite::kAttentionOutput}, plan),
      config_.layer_norm_epsilon);
  const at::Tensor fed = Apply(layer.output, Activate(config_.activation, Apply(layer.intermediate, attended)));
  return LayerNorm(layer.output_norm, DropoutAdd(fed, attended, hidden, {index, DropoutSite::kFeedForward}, plan),
                   config_.layer_norm_epsilon);
}

at::Tensor PostNormLayers::Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  AttentionForm form{.heads = config_.heads};
  if (relative_bias_.defined()) {
    form.distance_bias = at::embedding(relative_bias_, RelativeBuckets(plan->longest).to(tokens.device()));
  }
  at::Tensor x = Embed(tokens, dropout, plan);
  for (int64_t i = 0; i < config_.layers; ++i) x = RunLayer(i, x, form, dropout, plan);
  return x;
}

}  // namespace

std::unique_ptr<Layers> MakePostNormLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16) {
  return std::make_unique<PostNormLayers>(config, weights, bfloat16);
}

}  // namespace muster
