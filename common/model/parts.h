// The parts of an encoder that a job file names, to freeze them or to give them rates of their own:
//   embeddings    tables of words, positions, types and relative positions, and their norm
//   layers        all layers;  layers.3: one;  layers.0-5: those from the first to the last
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
  int64_t first = 0, last = -1;  // of kLayers; last -1: to the end
};
// INVALID_ARGUMENT that says what is allowed.
absl::StatusOr<ModelPart> ParsePart(std::string_view text);

// Where a tensor (or an adapter of it) is: 0 in the embeddings, i + 1 in layer i, layers + 1 behind the last layer.
int64_t DepthOfTensor(std::string_view name, int64_t layers);

// Whether config.frozen names a part that has the tensor. The parts are known to be valid.
bool IsFrozen(const EncoderConfig& config, std::string_view tensor);

// INVALID_ARGUMENT, "model.freeze: what is wrong. What to do.", if config.frozen names a part that the model lacks, or
// leaves nothing to train.
absl::Status CheckFrozen(const EncoderConfig& config);

// Whether the model has tensors behind its last layer.
bool HasHead(const EncoderConfig& config);

}  // namespace muster
