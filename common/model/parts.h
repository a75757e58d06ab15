// The parts of an encoder that a job file can name, to freeze them or to set their learning rates:
//   embeddings    tables of words, positions, types and relative positions, and their norm
//   layers        all layers; layers.3 is one layer, layers.0-5 the layers 0 to 5
//   head          what comes after the last layer: a final norm, Dense modules
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/encoder_config.h"

namespace muster {

enum class PartKind { kEmbeddings, kLayers, kHead };
struct ModelPart {
  PartKind kind = PartKind::kLayers;
  int64_t first = 0, last = -1;  // for kLayers: the range, both ends included; last -1 means the last layer
};
// INVALID_ARGUMENT, with a list of the allowed names, if `text` is not one.
absl::StatusOr<ModelPart> ParsePart(std::string_view text);

// Depth of a tensor (or of its adapter): 0 in the embeddings, i + 1 in layer i, config.layers + 1 after the last layer.
int64_t DepthOfTensor(std::string_view name, int64_t layers);

// Whether config.frozen names a part that contains the tensor. config.frozen must have passed the check below.
bool IsFrozen(const EncoderConfig& config, std::string_view tensor);

// INVALID_ARGUMENT, "model.freeze: what is wrong. What to do.", if config.frozen names a part that the model lacks, or
// leaves nothing to train.
absl::Status CheckFrozen(const EncoderConfig& config);

// Whether the model has tensors after its last layer.
bool HasHead(const EncoderConfig& config);

}  // namespace muster
