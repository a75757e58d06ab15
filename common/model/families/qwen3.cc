// A decoder used as an encoder: causal, so the last token has seen the whole text.
#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"
#include "common/model/families/read.h"
#include "common/status.h"

namespace muster {
namespace {

absl::Status RefuseSlidingLayers(const Keys& keys) {
  RETURN_IF_ERROR(RefuseTrue(keys, "use_sliding_window", "Set it to false: every layer sees the whole text."));
  const nlohmann::json* types = keys.Find("layer_types");
  if (types == nullptr) return absl::OkStatus();
  if (!types->is_array()) return keys.Wrong("layer_types: must be a list of names");
  for (const nlohmann::json& type : *types) {
    if (type != "full_attention") return keys.Wrong("layer_types: only full_attention is supported.");
  }
  return absl::OkStatus();
}

absl::Status ReadQwen3(const Keys& keys, EncoderConfig& config) {
  config.activation = "silu";
  RETURN_IF_ERROR(ReadActivation(keys, "hidden_act", config));
  RETURN_IF_ERROR(ReadSizes(keys, {}, config));
  config.head_size = 128;
  config.layer_norm_epsilon = 1e-6;
  config.rope_theta = 10000;
  config.type_vocabulary_size = 0;
  config.attention_bias = config.feed_forward_bias = config.norm_bias = false;
  config.hidden_dropout = config.attention_dropout = 0;
  config.pooling = PoolingMode::kLast;
  RETURN_IF_ERROR(keys.RequiredSize("num_key_value_heads", config.key_value_heads));
  RETURN_IF_ERROR(keys.Size("head_dim", config.head_size));
  RETURN_IF_ERROR(keys.Number("rms_norm_eps", config.layer_norm_epsilon));
  RETURN_IF_ERROR(keys.Boolean("attention_bias", config.attention_bias));
  RETURN_IF_ERROR(keys.Number("attention_dropout", config.attention_dropout));
  RETURN_IF_ERROR(RefuseSlidingLayers(keys));
  RETURN_IF_ERROR(ReadRopeTheta(keys, config.rope_theta));
  if (config.heads % config.key_value_heads != 0) {
    return keys.Wrong(absl::StrCat("num_attention_heads ", config.heads, " is not a multiple of num_key_value_heads ",
                                   config.key_value_heads));
  }
  RETURN_IF_ERROR(CheckRotary(keys, config));
  return CheckRanges(keys, "rms_norm_eps", config);
}

std::vector<TensorShape> Qwen3Tensors(const EncoderConfig& config) {
  const int64_t hidden = config.hidden_size, wide = config.intermediate_size, size = config.HeadSize();
  const int64_t queries = config.heads * size, keys = config.KeyValueHeads() * size;
  std::vector<TensorShape> tensors = {{"embed_tokens.weight", {config.vocabulary_size, hidden}}};
  for (int64_t i = 0; i < config.layers; ++i) {
    const auto add = [&](const char* name, std::vector<int64_t> shape, bool bias = false) {
      const std::string full = absl::StrCat("layers.", i, ".", name);
      const int64_t out = shape[0];
      tensors.push_back({full + ".weight", std::move(shape)});
      if (bias) tensors.push_back({full + ".bias", {out}});
    };
    add("input_layernorm", {hidden});
    add("self_attn.q_proj", {queries, hidden}, config.attention_bias);
    add("self_attn.k_proj", {keys, hidden}, config.attention_bias);
    add("self_attn.v_proj", {keys, hidden}, config.attention_bias);
    add("self_attn.o_proj", {hidden, queries}, config.attention_bias);
    add("self_attn.q_norm", {size});
    add("self_attn.k_norm", {size});
    add("post_attention_layernorm", {hidden});
    add("mlp.gate_proj", {wide, hidden});
    add("mlp.up_proj", {wide, hidden});
    add("mlp.down_proj", {hidden, wide});
  }
  tensors.push_back({"norm.weight", {hidden}});
  return tensors;
}

constexpr HarmlessKey kQwen3Harmless[] = {{"max_window_layers", "used only with use_sliding_window"},
                                          {"sliding_window", "used only with use_sliding_window"}};

}  // namespace

const Family kQwen3Family = {
    .model_type = "qwen3", .prefix = "model.", .read = ReadQwen3, .tensors = Qwen3Tensors, .harmless = kQwen3Harmless};

}  // namespace muster
