// Qwen3: a decoder. RMSNorm comes before attention and the feed-forward part (SwiGLU), and on each head of queries and
// keys; positions are rotary, attention is causal, and heads share keys and values. Source: arXiv 2505.09388, and
// transformers' modeling_qwen3.py for the order of operations.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <utility>

#include "worker/rank/model/attention.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/layer_segment.h"
#include "worker/rank/model/layers.h"
#include "worker/rank/model/rotary.h"

namespace muster {
namespace {

class Qwen3Layers final : public Layers {
 public:
  Qwen3Layers(const EncoderConfig& config, const Weights& weights, bool bfloat16);
  at::Tensor Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const override;
  std::vector<Linear*> Products() override { return segments_.NewProducts(); }

 private:
  at::Tensor NormalizeHeads(int64_t index, const at::Tensor& qkv) const;

  const EncoderConfig& config_;
  Segments segments_;
  std::vector<at::Tensor> query_norms_, key_norms_;  // of each layer
};

// transformers applies dropout only to attention probabilities. A job that sets model.dropout also gets it where BERT has it.
Qwen3Layers::Qwen3Layers(const EncoderConfig& config, const Weights& weights, bool bfloat16) : config_(config) {
  const auto in_layer = [](int64_t layer, const char* name) { return "layers." + std::to_string(layer) + "." + name; };
  const auto norm = [&](const std::string& name) {
    return weights.GetNorm(name, config.layer_norm_epsilon, /*rms=*/true);
  };
  const auto qkv = [&](int64_t layer) {
    return weights.GetLinear({in_layer(layer, "self_attn.q_proj"), in_layer(layer, "self_attn.k_proj"),
                              in_layer(layer, "self_attn.v_proj")});
  };
  segments_.embeddings->words = weights.Get("embed_tokens.weight");
  segments_.embeddings->next_norm = norm(in_layer(0, "input_layernorm"));
  segments_.embeddings->next = qkv(0);
  segments_.embeddings->bfloat16 = bfloat16;
  for (int64_t i = 0; i < config.layers; ++i) {
    const bool last = i + 1 == config.layers;
    auto layer = c10::make_intrusive<LayerSegment>();
    layer->index = i;
    layer->activation = ActivationFrom(config.activation);
    layer->gated = layer->pre_norm = true;
    layer->attention_output = weights.GetLinear({in_layer(i, "self_attn.o_proj")});
    layer->inner = weights.GetLinear({in_layer(i, "mlp.gate_proj"), in_layer(i, "mlp.up_proj")});
    layer->output = weights.GetLinear({in_layer(i, "mlp.down_proj")});
    layer->norm1 = norm(in_layer(i, "post_attention_layernorm"));
    layer->norm2 = norm(last ? "norm" : in_layer(i + 1, "input_layernorm"));
    if (!last) layer->next = qkv(i + 1);
    segments_.layers.push_back(std::move(layer));
    query_norms_.push_back(weights.Get(in_layer(i, "self_attn.q_norm.weight")));
    key_norms_.push_back(weights.Get(in_layer(i, "self_attn.k_norm.weight")));
  }
}

// RMSNorm of each head of queries and keys; values are unchanged.
at::Tensor Qwen3Layers::NormalizeHeads(int64_t index, const at::Tensor& qkv) const {
  const int64_t size = config_.HeadSize(), queries = config_.heads * size, keys = config_.KeyValueHeads() * size;
  const auto heads = [&](int64_t first, int64_t columns, const at::Tensor& weight) {
    const at::Tensor rows = qkv.narrow(1, first, columns).view({qkv.size(0), columns / size, size});
    return RmsNorm(weight, rows, config_.layer_norm_epsilon).flatten(1);
  };
  return at::cat({heads(0, queries, query_norms_[index]), heads(queries, keys, key_norms_[index]),
                  qkv.narrow(1, queries + keys, keys)},
                 1);
}

at::Tensor Qwen3Layers::Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  const int64_t size = config_.HeadSize(), shared = config_.KeyValueHeads();
  const AttentionForm form{.heads = config_.heads, .key_value_heads = shared, .causal = true};
  const SegmentCallPtr call = MakeCall(tokens, dropout, plan);
  const Rotary rotary =
      MakeRotary(config_.rope_theta, size, *plan, segments_.embeddings->words.scalar_type(), tokens.device());
  std::vector<at::Tensor> x = RunSegment(segments_.embeddings, {}, call);
  for (size_t i = 0; i < segments_.layers.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    const at::Tensor qkv = Rotate(NormalizeHeads(index, x[1]), rotary, config_.heads + shared, size);
    x = RunSegment(segments_.layers[i], {PackedAttention(qkv, form, call->attention, index, plan), x[0]}, call);
  }
  return x[0];
}

}  // namespace

std::unique_ptr<Layers> MakeQwen3Layers(const EncoderConfig& config, const Weights& weights, bool bfloat16) {
  return std::make_unique<Qwen3Layers>(config, weights, bfloat16);
}

}  // namespace muster
