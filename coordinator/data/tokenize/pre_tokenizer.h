// Pre-tokenizers of tokenizer.json: they cut the normalized text into the words that the model sees.
// Source: huggingface/tokenizers, pre_tokenizers/.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/status.h"
#include "coordinator/data/tokenize/json_reader.h"
#include "coordinator/data/tokenize/pieces.h"

namespace muster {

// Thread-safe: immutable.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual absl::Status Apply(Pieces& pieces) const = 0;  // INVALID_ARGUMENT: a pattern's limits, see pattern.h
};

struct PreTokenizer {
  std::vector<std::unique_ptr<const PreTokenizerStep>> steps;
  // The last step writes bytes as characters (ByteLevel). It is left to the model, which then sees the bytes.
  bool byte_level = false;

  absl::Status Apply(Pieces& pieces) const {
    for (const auto& step : steps) RETURN_IF_ERROR(step->Apply(pieces));
    return absl::OkStatus();
  }
};

// INVALID_ARGUMENT names what is not supported.
absl::StatusOr<PreTokenizer> ReadPreTokenizer(const JsonObject& json);

}  // namespace muster
