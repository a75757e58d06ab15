// Families of encoders: one entry per model_type of config.json. A family reads its configuration keys and names its
// tensors; what it computes is in worker/rank/model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/model/encoder_config.h"
#include "common/model/json_keys.h"

namespace muster {

struct Family {
  std::string_view model_type;
  // Files of a whole transformers model, with heads, put this before each tensor's name: "bert.".
  std::string_view prefix;
  // Reads and checks the keys of config.json. Errors name the key and what is supported.
  absl::Status (*read)(const Keys& keys, EncoderConfig& config);
  // Every tensor of the encoder in a fixed order, without pooler and heads.
  std::vector<TensorShape> (*tensors)(const EncoderConfig& config);
};

const Family* FindFamily(std::string_view model_type);  // null: none
const Family& FamilyOf(const EncoderConfig& config);    // of config.architecture, which must be a family's
std::vector<std::string> FamilyNames();

extern const Family kBertFamily;

}  // namespace muster
