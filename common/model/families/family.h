// Families of encoders: one entry per model_type of config.json. A family reads its configuration keys and names its tensors;
// worker/rank/model has its computation.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/encoder_config.h"
#include "common/model/families/post_norm.h"
#include "common/model/json_keys.h"

namespace muster {

struct Family {
  std::string_view model_type;
  // Prefix of each tensor's name in files of a whole transformers model, with heads: "bert.".
  std::string_view prefix;
  // Reads and checks the keys of config.json. Errors name the key and what is supported.
  absl::Status (*read)(const Keys& keys, EncoderConfig& config);
  // Every tensor of the encoder in a fixed order, without pooler and heads.
  std::vector<TensorShape> (*tensors)(const EncoderConfig& config);
  // Keys of this family's config.json that change no embedding, in addition to those of every model.
  std::span<const HarmlessKey> harmless = {};
  const PostNormNames* post_norm = nullptr;  // null: not a family of BERT's kind
};

const Family* FindFamily(std::string_view model_type);  // null: none
const Family& FamilyOf(const EncoderConfig& config);    // of config.architecture, which must be a family's
std::vector<std::string> FamilyNames();

extern const Family kBertFamily, kDistilBertFamily, kModernBertFamily, kMpnetFamily, kQwen3Family, kRobertaFamily,
    kXlmRobertaFamily;

// The weights of products whose names end in one of `targets`, such as "query" or "output.dense"; those of all products of the
// layers if `targets` is empty. INVALID_ARGUMENT that names the target and those that exist.
absl::StatusOr<std::vector<TensorShape>> LoraTargets(const EncoderConfig& config,
                                                     const std::vector<std::string>& targets);

// Whether a tensor has no weight decay: biases, norms and tables of relative positions.
bool IsUndecayed(std::string_view name);

// Whether a tensor is the scale of a norm (it starts at 1), or the bias of a norm.
bool IsNormWeight(std::string_view name);
bool IsNormBias(std::string_view name);

}  // namespace muster
