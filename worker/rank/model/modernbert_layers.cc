// ModernBERT: norms come before attention and the feed-forward part, which is gated; positions are rotary, and most
// layers are local. Source: arXiv 2412.13663, and transformers' modeling_modernbert.py for the order of operations.
#include <utility>

#include "worker/rank/model/attention.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/layer_segment.h"
#include "worker/rank/model/layers.h"
#include "worker/rank/model/rotary.h"

namespace muster {
namespace {

class ModernBertLayers final : public Layers {
 public:
  ModernBertLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16);
  at::Tensor Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const override;
  std::vector<Linear*> Products() override { return segments_.NewProducts(); }

 private:
  const EncoderConfig& config_;
  Segments segments_;
};

ModernBertLayers::ModernBertLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16)
    : config_(config) {
  const auto in_layer = [](int64_t layer, const char* name) { return "layers." + std::to_string(layer) + "." + name; };
  const auto product = [&](int64_t layer, const char* name) { return weights.GetLinear({in_layer(layer, name)}); };
  const auto norm = [&](const std::string& name) { return weights.GetNorm(name, config.layer_norm_epsilon); };
  segments_.embeddings->words = weights.Get("embeddings.tok_embeddings.weight");
  segments_.embeddings->norm = norm("embeddings.norm");
  segments_.embeddings->next = product(0, "attn.Wqkv");  // layer 0 has no norm before attention
  segments_.embeddings->bfloat16 = bfloat16;
  for (int64_t i = 0; i < config.layers; ++i) {
    const bool last = i + 1 == config.layers;
    auto layer = c10::make_intrusive<LayerSegment>();
    layer->index = i;
    layer->activation = ActivationFrom(config.activation);
    layer->gated = layer->pre_norm = layer->drops_inside = true;
    layer->attention_output = product(i, "attn.Wo");
    layer->inner = product(i, "mlp.Wi");
    layer->output = product(i, "mlp.Wo");
    layer->norm1 = norm(in_layer(i, "mlp_norm"));
    layer->norm2 = norm(last ? "final_norm" : in_layer(i + 1, "attn_norm"));
    if (!last) layer->next = product(i + 1, "attn.Wqkv");
    segments_.layers.push_back(std::move(layer));
  }
}

at::Tensor ModernBertLayers::Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  const SegmentCallPtr call = MakeCall(tokens, dropout, plan);
  std::vector<at::Tensor> x = RunSegment(segments_.embeddings, {}, call);
  const auto rotary = [&](double theta) {
    return MakeRotary(theta, config_.HeadSize(), *plan, segments_.embeddings->words.scalar_type(), tokens.device());
  };
  const Rotary global = rotary(config_.rope_theta), local = rotary(config_.local_rope_theta);
  for (size_t i = 0; i < segments_.layers.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    const bool is_local = config_.IsLocal(index);
    const AttentionForm form{.heads = config_.heads, .window = is_local ? config_.window : 0};
    const at::Tensor qkv = Rotate(x[1], is_local ? local : global, 2 * config_.heads, config_.HeadSize());
    x = RunSegment(segments_.layers[i], {PackedAttention(qkv, form, call->attention, index, plan), x[0]}, call);
  }
  return x[0];
}

}  // namespace

std::unique_ptr<Layers> MakeModernBertLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16) {
  return std::make_unique<ModernBertLayers>(config, weights, bfloat16);
}

}  // namespace muster
