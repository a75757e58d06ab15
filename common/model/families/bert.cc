#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr int64_t kMaxLayers = 1024;

absl::Status ReadBert(const Keys& keys, EncoderConfig& config) {
  std::string positions = "absolute";
  RETURN_IF_ERROR(keys.Text("position_embedding_type", positions));
  RETURN_IF_ERROR(keys.Supported("position_embedding_type", positions, {"absolute"}));
  RETURN_IF_ERROR(keys.Text("hidden_act", config.activation));
  RETURN_IF_ERROR(keys.Supported("hidden_act", config.activation, {"gelu"}));
  RETURN_IF_ERROR(keys.RequiredSize("vocab_size", config.vocabulary_size));
  RETURN_IF_ERROR(keys.RequiredSize("hidden_size", config.hidden_size));
  RETURN_IF_ERROR(keys.RequiredSize("num_hidden_layers", config.layers));
  RETURN_IF_ERROR(keys.RequiredSize("num_attention_heads", config.heads));
  RETURN_IF_ERROR(keys.RequiredSize("intermediate_size", config.intermediate_size));
  RETURN_IF_ERROR(keys.RequiredSize("max_position_embeddings", config.max_positions));
  RETURN_IF_ERROR(keys.Size("type_vocab_size", config.type_vocabulary_size));
  RETURN_IF_ERROR(keys.Number("layer_norm_eps", config.layer_norm_epsilon));
  RETURN_IF_ERROR(keys.Number("hidden_dropout_prob", config.hidden_dropout));
  RETURN_IF_ERROR(keys.Number("attention_probs_dropout_prob", config.attention_dropout));
  if (config.layers > kMaxLayers) {
    return keys.Wrong(absl::StrCat("num_hidden_layers: ", config.layers, ", at most ", kMaxLayers, " are supported"));
  }
  if (config.hidden_size % config.heads != 0) {
    return keys.Wrong(absl::StrCat("hidden_size ", config.hidden_size, " is no multiple of num_attention_heads ",
                                   config.heads));
  }
  for (const double dropout : {config.hidden_dropout, config.attention_dropout}) {
    // As model.dropout of a job: close to 1 everything would be dropped.
    if (!(dropout >= 0 && dropout <= 0.99)) {
      return keys.Wrong(absl::StrCat("dropout ", dropout, " is not from 0 to 0.99"));
    }
  }
  // Below what single precision holds, a row of equal numbers would be divided by 0.
  if (!(config.layer_norm_epsilon >= 1e-20 && config.layer_norm_epsilon <= 1)) {
    return keys.Wrong(absl::StrCat("layer_norm_eps ", config.layer_norm_epsilon, " is not from 1e-20 to 1"));
  }
  return absl::OkStatus();
}

std::vector<TensorShape> BertTensors(const EncoderConfig& config) {
  const int64_t hidden = config.hidden_size, wide = config.intermediate_size;
  std::vector<TensorShape> tensors = {
      {"embeddings.word_embeddings.weight", {config.vocabulary_size, hidden}},
      {"embeddings.position_embeddings.weight", {config.max_positions, hidden}},
      {"embeddings.token_type_embeddings.weight", {config.type_vocabulary_size, hidden}},
      {"embeddings.LayerNorm.weight", {hidden}},
      {"embeddings.LayerNorm.bias", {hidden}},
  };
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const auto add = [&](absl::string_view name, std::vector<int64_t> shape) {
      tensors.push_back({absl::StrCat("encoder.layer.", layer, ".", name), std::move(shape)});
    };
    for (const absl::string_view part : {"query", "key", "value"}) {
      add(absl::StrCat("attention.self.", part, ".weight"), {hidden, hidden});
      add(absl::StrCat("attention.self.", part, ".bias"), {hidden});
    }
    add("attention.output.dense.weight", {hidden, hidden});
    add("attention.output.dense.bias", {hidden});
    add("attention.output.LayerNorm.weight", {hidden});
    add("attention.output.LayerNorm.bias", {hidden});
    add("intermediate.dense.weight", {wide, hidden});
    add("intermediate.dense.bias", {wide});
    add("output.dense.weight", {hidden, wide});
    add("output.dense.bias", {hidden});
    add("output.LayerNorm.weight", {hidden});
    add("output.LayerNorm.bias", {hidden});
  }
  return tensors;
}

}  // namespace

const Family kBertFamily = {.model_type = "bert", .prefix = "bert.", .read = ReadBert, .tensors = BertTensors};

}  // namespace muster
