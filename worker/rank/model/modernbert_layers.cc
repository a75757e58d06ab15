// ModernBERT: norms stand before attention and the feed-forward part, which is gated; positions are rotary, and most
// layers are local. Source: arXiv 2412.13663, and transformers' modeling_modernbert.py for the order of operations.
#include <ATen/TensorOperators.h>

#include <utility>

#include "worker/rank/model/attention.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/layers.h"
#include "worker/rank/model/rotary.h"

namespace muster {
namespace {

struct Layer {
  Linear qkv, attention_output, gated, output;
  Affine attention_norm, feed_forward_norm;  // the first is undefined in layer 0
};

class ModernBertLayers final : public Layers {
 public:
  ModernBertLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16);
  at::Tensor Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const override;
  std::vector<Linear*> Products() override;

 private:
  at::Tensor RunLayer(int64_t index, const at::Tensor& x, const Rotary& rotary, const Dropout& dropout,
                      const SequencePlanPtr& plan) const;

  const EncoderConfig& config_;
  const bool bfloat16_;
  at::Tensor words_;
  Affine embedding_norm_, final_norm_;
  std::vector<Layer> layers_;
};

ModernBertLayers::ModernBertLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16)
    : config_(config),
      bfloat16_(bfloat16),
      words_(weights.Get("embeddings.tok_embeddings.weight")),
      embedding_norm_(weights.GetAffine("embeddings.norm")),
      final_norm_(weights.GetAffine("final_norm")) {
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string name = "layers." + std::to_string(i) + ".";
    layers_.push_back({.qkv = weights.GetLinear({name + "attn.Wqkv"}),
                       .attention_output = weights.GetLinear({name + "attn.Wo"}),
                       .gated = weights.GetLinear({name + "mlp.Wi"}),
                       .output = weights.GetLinear({name + "mlp.Wo"}),
                       .attention_norm = i == 0 ? Affine() : weights.GetAffine(name + "attn_norm"),
                       .feed_forward_norm = weights.GetAffine(name + "mlp_norm")});
  }
}

std::vector<Linear*> ModernBertLayers::Products() {
  std::vector<Linear*> products;
  for (Layer& layer : layers_) {
    products.insert(products.end(), {&layer.qkv, &layer.attention_output, &layer.gated, &layer.output});
  }
  return products;
}

// transformers drops the output of attention with the probability of attention, and the feed-forward part inside.
at::Tensor ModernBertLayers::RunLayer(int64_t index, const at::Tensor& x, const Rotary& rotary, const Dropout& dropout,
                                      const SequencePlanPtr& plan) const {
  const Layer& layer = layers_[index];
  const DropoutRate hidden(dropout.hidden), attention(dropout.attention);
  const double epsilon = config_.layer_norm_epsilon;
  const AttentionForm form{.heads = config_.heads, .window = config_.IsLocal(index) ? config_.window : 0};
  const at::Tensor normed = index == 0 ? x : LayerNorm(layer.attention_norm, x, epsilon);
  const at::Tensor qkv = Rotate(Apply(layer.qkv, normed), rotary, 2 * config_.heads, config_.HeadSize());
  const at::Tensor context = PackedAttention(qkv, form, attention, index, plan);
  const at::Tensor attended =
      DropoutAdd(Apply(layer.attention_output, context), x, attention, {index, DropoutSite::kAttentionOutput}, plan);
  const at::Tensor both = Apply(layer.gated, LayerNorm(layer.feed_forward_norm, attended, epsilon));
  const int64_t inner = config_.intermediate_size;
  const at::Tensor inside = Activate(config_.activation, both.narrow(1, 0, inner)) * both.narrow(1, inner, inner);
  return attended +
         Apply(layer.output, DropoutAdd(inside, {}, hidden, {index, DropoutSite::kFeedForward}, plan));
}

at::Tensor ModernBertLayers::Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  at::Tensor x = LayerNorm(embedding_norm_, EmbedTokens(words_, tokens), config_.layer_norm_epsilon);
  const auto rotary = [&](double theta) {
    return MakeRotary(theta, config_.HeadSize(), *plan, x.scalar_type(), tokens.device());
  };
  const Rotary global = rotary(config_.rope_theta), local = rotary(config_.local_rope_theta);
  if (bfloat16_) x = x.to(at::kBFloat16);
  x = DropoutAdd(x, {}, DropoutRate(dropout.hidden), {0, DropoutSite::kEmbeddings}, plan);
  for (int64_t i = 0; i < config_.layers; ++i) x = RunLayer(i, x, config_.IsLocal(i) ? local : global, dropout, plan);
  return LayerNorm(final_norm_, x, config_.layer_norm_epsilon);
}

}  // namespace

std::unique_ptr<Layers> MakeModernBertLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16) {
  return std::make_unique<ModernBertLayers>(config, weights, bfloat16);
}

}  // namespace muster
