#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"
#include "common/model/families/read.h"
#include "common/status.h"

namespace muster {
namespace {

// Which layers are local: according to layer_types (transformers 5), or every layer except each global_attn_every_n_layers-th.
absl::Status ReadLocalLayers(const Keys& keys, EncoderConfig& config) {
  int64_t every = 3;
  RETURN_IF_ERROR(keys.Size("global_attn_every_n_layers", every));
  for (int64_t layer = 0; layer < config.layers; ++layer) config.local.push_back(layer % every != 0);
  const nlohmann::json* types = keys.Find("layer_types");
  if (types == nullptr) return absl::OkStatus();
  if (!types->is_array() || static_cast<int64_t>(types->size()) != config.layers) {
    return keys.Wrong(absl::StrCat("layer_types: must be a list of ", config.layers, " names"));
  }
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const nlohmann::json& type = (*types)[layer];
    if (type != "full_attention" && type != "sliding_attention") {
      return keys.Wrong(absl::StrCat("layer_types[", layer,
                                     "]: is not supported. Supported: full_attention, sliding_attention."));
    }
    config.local[layer] = type == "sliding_attention";
  }
  return absl::OkStatus();
}

absl::Status ReadThetas(const Keys& keys, EncoderConfig& config) {
  config.rope_theta = 160000;
  config.local_rope_theta = 10000;
  RETURN_IF_ERROR(keys.Number("global_rope_theta", config.rope_theta));
  RETURN_IF_ERROR(keys.Number("local_rope_theta", config.local_rope_theta));
  if (const nlohmann::json* value = keys.Find("rope_scaling")) {
    double theta = config.rope_theta;
    RETURN_IF_ERROR(ReadRopeObject(keys, "rope_scaling", *value, theta));
    if (theta != config.rope_theta) return keys.Wrong("rope_scaling.rope_theta: is not supported. Use rope_parameters.");
  }
  const nlohmann::json* parameters = keys.Find("rope_parameters");
  if (parameters == nullptr) return absl::OkStatus();
  if (!parameters->is_object()) return keys.Wrong("rope_parameters: must be an object");
  for (const auto& [name, value] : parameters->items()) {
    if (value.is_null()) continue;
    if (name == "full_attention") {
      RETURN_IF_ERROR(ReadRopeObject(keys, "rope_parameters.full_attention", value, config.rope_theta));
    } else if (name == "sliding_attention") {
      RETURN_IF_ERROR(ReadRopeObject(keys, "rope_parameters.sliding_attention", value, config.local_rope_theta));
    } else {
      return keys.Wrong(absl::StrCat("rope_parameters.", name,
                                     ": is not supported. Supported: full_attention, sliding_attention."));
    }
  }
  return absl::OkStatus();
}

// One dropout for embeddings and the feed-forward part, as a job's model.dropout sets it.
absl::Status ReadDropout(const Keys& keys, EncoderConfig& config) {
  double embeddings = 0;
  config.hidden_dropout = config.attention_dropout = 0;
  RETURN_IF_ERROR(keys.Number("embedding_dropout", embeddings));
  RETURN_IF_ERROR(keys.Number("mlp_dropout", config.hidden_dropout));
  RETURN_IF_ERROR(keys.Number("attention_dropout", config.attention_dropout));
  if (embeddings == config.hidden_dropout) return absl::OkStatus();
  return keys.Wrong(absl::StrCat("embedding_dropout: ", embeddings, " is not supported together with mlp_dropout ",
                                 config.hidden_dropout, ". Set both to the same probability."));
}

absl::Status ReadModernBert(const Keys& keys, EncoderConfig& config) {
  RETURN_IF_ERROR(ReadActivation(keys, "hidden_activation", config));
  RETURN_IF_ERROR(ReadSizes(keys, {}, config));
  config.layer_norm_epsilon = 1e-5;
  config.type_vocabulary_size = 0;
  config.attention_bias = config.feed_forward_bias = config.norm_bias = false;
  RETURN_IF_ERROR(keys.Number("norm_eps", config.layer_norm_epsilon));
  RETURN_IF_ERROR(keys.Boolean("norm_bias", config.norm_bias));
  RETURN_IF_ERROR(keys.Boolean("attention_bias", config.attention_bias));
  RETURN_IF_ERROR(keys.Boolean("mlp_bias", config.feed_forward_bias));
  RETURN_IF_ERROR(ReadDropout(keys, config));
  int64_t local_attention = 128;
  RETURN_IF_ERROR(keys.Size("local_attention", local_attention));
  config.window = local_attention / 2;
  RETURN_IF_ERROR(ReadLocalLayers(keys, config));
  RETURN_IF_ERROR(ReadThetas(keys, config));
  RETURN_IF_ERROR(CheckHeads(keys, {}, config));
  RETURN_IF_ERROR(CheckRotary(keys, config));
  return CheckRanges(keys, "norm_eps", config);
}

// The first layer has no norm before its attention, because the embeddings end with one.
std::vector<TensorShape> ModernBertTensors(const EncoderConfig& config) {
  const int64_t hidden = config.hidden_size, wide = config.intermediate_size;
  std::vector<TensorShape> tensors = {{"embeddings.tok_embeddings.weight", {config.vocabulary_size, hidden}}};
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, bool bias) {
    const int64_t out = shape[0];
    tensors.push_back({name + ".weight", std::move(shape)});
    if (bias) tensors.push_back({name + ".bias", {out}});
  };
  add("embeddings.norm", {hidden}, config.norm_bias);
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = absl::StrCat("layers.", i, ".");
    if (i > 0) add(layer + "attn_norm", {hidden}, config.norm_bias);
    add(layer + "attn.Wqkv", {3 * hidden, hidden}, config.attention_bias);
    add(layer + "attn.Wo", {hidden, hidden}, config.attention_bias);
    add(layer + "mlp_norm", {hidden}, config.norm_bias);
    add(layer + "mlp.Wi", {2 * wide, hidden}, config.feed_forward_bias);
    add(layer + "mlp.Wo", {hidden, wide}, config.feed_forward_bias);
  }
  add("final_norm", {hidden}, config.norm_bias);
  return tensors;
}

constexpr HarmlessKey kModernBertHarmless[] = {
    {"deterministic_flash_attn", "the same function, computed another way"},
    {"layer_norm_eps", "transformers reads norm_eps"},
    {"position_embedding_type", "positions are rotary, whatever it says"},
    {"reference_compile", "the same function, computed another way"},
    {"repad_logits_with_grad", "belongs to a head that no embedding uses"},
    {"sparse_pred_ignore_index", "belongs to a head that no embedding uses"},
    {"sparse_prediction", "belongs to a head that no embedding uses"},
};

}  // namespace

const Family kModernBertFamily = {.model_type = "modernbert",
                                  .prefix = "model.",
                                  .read = ReadModernBert,
                                  .tensors = ModernBertTensors,
                                  .harmless = kModernBertHarmless};

}  // namespace muster
