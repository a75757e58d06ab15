// Helpers that the families' readers of config.json share.
#pragma once

#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "common/model/encoder_config.h"
#include "common/model/json_keys.h"

namespace muster {

// Activations of feed-forward parts and of Dense modules, as transformers names them.
absl::Status ReadActivation(const Keys& keys, const char* key, EncoderConfig& config);
bool IsActivation(std::string_view name);

// Sizes that every family needs, under these keys.
struct SizeKeys {
  const char* hidden = "hidden_size";
  const char* layers = "num_hidden_layers";
  const char* heads = "num_attention_heads";
  const char* intermediate = "intermediate_size";
};
absl::Status ReadSizes(const Keys& keys, const SizeKeys& names, EncoderConfig& config);

// For families whose head size is hidden_size / heads.
absl::Status CheckHeads(const Keys& keys, const SizeKeys& names, const EncoderConfig& config);

// Ranges of what has been read: layers, dropout, epsilon.
absl::Status CheckRanges(const Keys& keys, const char* epsilon, const EncoderConfig& config);

// Rotary positions turn pairs of numbers within a head: its size must be even.
absl::Status CheckRotary(const Keys& keys, const EncoderConfig& config);

// The longest sequence: the position table's rows without the first pad_token + 1, which belong to no token.
absl::Status TakeOffsetPositions(const Keys& keys, EncoderConfig& config);

// Refuses keys that are true and would change what the model computes.
absl::Status RefuseTrue(const Keys& keys, const char* key, const char* why);

// rope_theta, or rope_parameters.rope_theta as transformers 5 writes it. Scaled rotary positions are refused.
absl::Status ReadRopeTheta(const Keys& keys, double& theta);
// The same for one object of rope parameters.
absl::Status ReadRopeObject(const Keys& keys, const char* key, const nlohmann::json& value, double& theta);

}  // namespace muster
