// Where each tensor of the encoder is in a model folder: in model.safetensors, or in the shards of an index. Accepts
// the differences between saved models: a prefix, LayerNorm.gamma and beta, and heads that no embedding uses.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/encoder_config.h"
#include "common/model/safetensors.h"

namespace muster {

struct StoredTensor {
  std::string file;  // relative to the folder
  SafetensorsEntry entry;
};
struct ModelWeights {
  std::vector<StoredTensor> tensors;  // one per tensor of ModelTensors(config), checked for its shape and a floating type
  std::vector<std::string> notes;     // human-readable: what is not used
};

// EncoderTensors(config), then the DenseTensors of each Dense module.
std::vector<TensorShape> ModelTensors(const EncoderConfig& config);

// Errors are INVALID_ARGUMENT and name the file, the tensor, and a missing shard.
absl::StatusOr<ModelWeights> FindWeights(const std::filesystem::path& folder, const EncoderConfig& config);

}  // namespace muster
