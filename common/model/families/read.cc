#include "common/model/families/read.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr int64_t kMaxLayers = 1024, kMaxWidth = int64_t{1} << 20;

// The last four are other names of earlier ones.
constexpr std::array<std::string_view, 9> kActivations = {
    "gelu", "gelu_new", "relu", "silu", "tanh", "gelu_python", "gelu_pytorch_tanh", "gelu_fast", "swish"};

}  // namespace

bool IsActivation(std::string_view name) {
  return std::find(kActivations.begin(), kActivations.end(), name) != kActivations.end();
}

absl::Status ReadActivation(const Keys& keys, const char* key, EncoderConfig& config) {
  RETURN_IF_ERROR(keys.Text(key, config.activation));
  if (IsActivation(config.activation)) return absl::OkStatus();
  std::vector<std::string> names(kActivations.begin(), kActivations.end());
  return keys.Wrong(absl::StrCat(key, ": \"", config.activation, "\" is not supported. Supported: ",
                                 absl::StrJoin(names, ", "), "."));
}

absl::Status ReadSizes(const Keys& keys, const SizeKeys& names, EncoderConfig& config) {
  RETURN_IF_ERROR(keys.RequiredSize("vocab_size", config.vocabulary_size));
  RETURN_IF_ERROR(keys.RequiredSize(names.hidden, config.hidden_size));
  RETURN_IF_ERROR(keys.RequiredSize(names.layers, config.layers));
  RETURN_IF_ERROR(keys.RequiredSize(names.heads, config.heads));
  RETURN_IF_ERROR(keys.RequiredSize(names.intermediate, config.intermediate_size));
  RETURN_IF_ERROR(keys.RequiredSize("max_position_embeddings", config.max_positions));
  if (config.layers > kMaxLayers) {
    return keys.Wrong(
        absl::StrCat(names.layers, ": ", config.layers, ", at most ", kMaxLayers, " are supported"));
  }
  for (const auto& [key, size] : {std::pair(names.hidden, config.hidden_size), {names.heads, config.heads},
                                  {names.intermediate, config.intermediate_size}}) {
    if (size > kMaxWidth) return keys.Wrong(absl::StrCat(key, ": ", size, ", at most ", kMaxWidth, " is supported"));
  }
  return absl::OkStatus();
}

absl::Status CheckHeads(const Keys& keys, const SizeKeys& names, const EncoderConfig& config) {
  if (config.hidden_size % config.heads == 0) return absl::OkStatus();
  return keys.Wrong(absl::StrCat(names.hidden, " ", config.hidden_size, " is not a multiple of ", names.heads, " ",
                                 config.heads));
}

absl::Status CheckRanges(const Keys& keys, const char* epsilon, const EncoderConfig& config) {
  for (const double dropout : {config.hidden_dropout, config.attention_dropout}) {
    // The same bound as for model.dropout of a job: close to 1 everything would be dropped.
    if (!(dropout >= 0 && dropout <= 0.99)) {
      return keys.Wrong(absl::StrCat("dropout ", dropout, " is not from 0 to 0.99"));
    }
  }
  // If single precision cannot hold it, a row of equal numbers would be divided by 0.
  if (!(config.layer_norm_epsilon >= 1e-20 && config.layer_norm_epsilon <= 1)) {
    return keys.Wrong(absl::StrCat(epsilon, " ", config.layer_norm_epsilon, " is not from 1e-20 to 1"));
  }
  return absl::OkStatus();
}

absl::Status CheckRotary(const Keys& keys, const EncoderConfig& config) {
  if (config.HeadSize() % 2 == 0) return absl::OkStatus();
  return keys.Wrong(absl::StrCat("heads of ", config.HeadSize(), " numbers: rotary positions need an even number"));
}

absl::Status TakeOffsetPositions(const Keys& keys, EncoderConfig& config) {
  const int64_t rows = config.max_positions;
  config.max_positions = rows - config.pad_token - 1;
  if (config.max_positions >= 1) return absl::OkStatus();
  return keys.Wrong(absl::StrCat("max_position_embeddings: ", rows, " leaves no position after the ",
                                 config.pad_token + 1, " of padding"));
}

absl::Status RefuseTrue(const Keys& keys, const char* key, const char* why) {
  bool on = false;
  RETURN_IF_ERROR(keys.Boolean(key, on));
  return on ? keys.Wrong(absl::StrCat(key, ": true is not supported. ", why)) : absl::OkStatus();
}

absl::Status ReadRopeObject(const Keys& keys, const char* key, const nlohmann::json& value, double& theta) {
  if (!value.is_object()) return keys.Wrong(absl::StrCat(key, ": must be an object"));
  for (const char* type : {"rope_type", "type"}) {
    const auto found = value.find(type);
    if (found == value.end() || found->is_null() || *found == "default") continue;
    return keys.Wrong(absl::StrCat(key, ".", type, ": ", found->is_string() ? found->dump() : "this value",
                                   " is not supported. Supported: \"default\". A model that is fine-tuned on texts of "
                                   "ordinary length needs no scaled positions: remove it."));
  }
  const auto found = value.find("rope_theta");
  if (found != value.end() && !found->is_null()) {
    if (!found->is_number()) return keys.Wrong(absl::StrCat(key, ".rope_theta: is not a number"));
    theta = found->get<double>();
  }
  for (const auto& [name, unused] : value.items()) {
    if (name != "rope_type" && name != "type" && name != "rope_theta") {
      return keys.Wrong(absl::StrCat(key, ".", name, ": is not supported. Supported: rope_type, rope_theta."));
    }
  }
  if (theta > 1 && theta <= 1e12) return absl::OkStatus();
  return keys.Wrong(absl::StrCat(key, ".rope_theta: ", theta, " is not from 1 to 1e12"));
}

absl::Status ReadRopeTheta(const Keys& keys, double& theta) {
  RETURN_IF_ERROR(keys.Number("rope_theta", theta));
  if (!(theta > 1 && theta <= 1e12)) return keys.Wrong(absl::StrCat("rope_theta: ", theta, " is not from 1 to 1e12"));
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (const nlohmann::json* value = keys.Find(key)) RETURN_IF_ERROR(ReadRopeObject(keys, key, *value, theta));
  }
  return absl::OkStatus();
}

}  // namespace muster
