// Qwen3: a decoder. RMSNorm stands before attention and the feed-forward part (SwiGLU), and on each head of queries and
// keys; positions are rotary, attention is causal, and heads share keys and values. Source: arXiv 2505.09388, and
// transformers' modeling_qwen3.py for the order of operations.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <utility>

#include "worker/rank/model/attention.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/layers.h"
#include "worker/rank/model/rotary.h"

namespace muster {
namespace {

// Products stand alone: joined, the weights would be copied for each graph, and they are most of such a model.
struct Layer {
  Linear query, key, value, attention_output, gate, up, down;
  at::Tensor attention_norm, query_norm, key_norm, feed_forward_norm;
};

class Qwen3Layers final : public Layers {
 public:
  Qwen3Layers(const EncoderConfig& config, const Weights& weights, bool bfloat16);
  at::Tensor Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const override;
  std::vector<Linear*> Products() override;

 private:
  at::Tensor Attend(int64_t index, const at::Tensor& x, const Rotary& rotary, const Dropout& dropout,
                    const SequencePlanPtr& plan) const;

  const EncoderConfig& config_;
  const bool bfloat16_;
  at::Tensor words_, final_norm_;
  std::vector<Layer> layers_;
};

Qwen3Layers::Qwen3Layers(const EncoderConfig& config, const Weights& weights, bool bfloat16)
    : config_(config),
      bfloat16_(bfloat16),
      words_(weights.Get("embed_tokens.weight")),
      final_norm_(weights.Get("norm.weight")) {
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string name = "layers." + std::to_string(i) + ".";
    const auto product = [&](const char* part) { return weights.GetLinear({name + part}); };
    const auto norm = [&](const char* part) { return weights.Get(name + part + ".weight"); };
    layers_.push_back({.query = product("self_attn.q_proj"),
                       .key = product("self_attn.k_proj"),
                       .value = product("self_attn.v_proj"),
                       .attention_output = product("self_attn.o_proj"),
                       .gate = product("mlp.gate_proj"),
                       .up = product("mlp.up_proj"),
                       .down = product("mlp.down_proj"),
                       .attention_norm = norm("input_layernorm"),
                       .query_norm = norm("self_attn.q_norm"),
                       .key_norm = norm("self_attn.k_norm"),
                       .feed_forward_norm = norm("post_attention_layernorm")});
  }
}

std::vector<Linear*> Qwen3Layers::Products() {
  std::vector<Linear*> products;
  for (Layer& layer : layers_) {
    products.insert(products.end(), {&layer.query, &layer.key, &layer.value, &layer.attention_output, &layer.gate,
                                     &layer.up, &layer.down});
  }
  return products;
}

at::Tensor Qwen3Layers::Attend(int64_t index, const at::Tensor& x, const Rotary& rotary, const Dropout& dropout,
                               const SequencePlanPtr& plan) const {
  const Layer& layer = layers_[index];
  const int64_t size = config_.HeadSize(), shared = config_.KeyValueHeads();
  const AttentionForm form{.heads = config_.heads, .key_value_heads = shared, .causal = true};
  const at::Tensor normed = RmsNorm(layer.attention_norm, x, config_.layer_norm_epsilon);
  const auto heads = [&](const Linear& product, const at::Tensor& norm) {
    const at::Tensor rows = Apply(product, normed);
    return RmsNorm(norm, rows.view({rows.size(0), -1, size}), config_.layer_norm_epsilon).flatten(1);
  };
  const at::Tensor qkv = at::cat({heads(layer.query, layer.query_norm), heads(layer.key, layer.key_norm),
                                  Apply(layer.value, normed)}, 1);
  const at::Tensor context = PackedAttention(Rotate(qkv, rotary, config_.heads + shared, size), form,
                                             DropoutRate(dropout.attention), index, plan);
  return DropoutAdd(Apply(layer.attention_output, context), x, DropoutRate(dropout.hidden),
                    {index, DropoutSite::kAttentionOutput}, plan);
}

// transformers drops attention probabilities alone. The other places are those of BERT, for a job that sets
// model.dropout.
at::Tensor Qwen3Layers::Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  at::Tensor x = EmbedTokens(words_, tokens);
  const Rotary rotary = MakeRotary(config_.rope_theta, config_.HeadSize(), *plan, x.scalar_type(), tokens.device());
  if (bfloat16_) x = x.to(at::kBFloat16);
  const DropoutRate hidden(dropout.hidden);
  x = DropoutAdd(x, {}, hidden, {0, DropoutSite::kEmbeddings}, plan);
  for (int64_t i = 0; i < config_.layers; ++i) {
    const Layer& layer = layers_[i];
    x = Attend(i, x, rotary, dropout, plan);
    const at::Tensor normed = RmsNorm(layer.feed_forward_norm, x, config_.layer_norm_epsilon);
    const at::Tensor inside = Activate(config_.activation, Apply(layer.gate, normed)) * Apply(layer.up, normed);
    x = DropoutAdd(Apply(layer.down, inside), x, hidden, {i, DropoutSite::kFeedForward}, plan);
  }
  return RmsNorm(final_norm_, x, config_.layer_norm_epsilon);
}

}  // namespace

std::unique_ptr<Layers> MakeQwen3Layers(const EncoderConfig& config, const Weights& weights, bool bfloat16) {
  return std::make_unique<Qwen3Layers>(config, weights, bfloat16);
}

}  // namespace muster
