// Pre-tokenizers of tokenizer.json: they cut the normalized text into the words that the model sees.
// Source: huggingface/tokenizers, pre_tokenizers/.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/json_reader.h"
#include "coordinator/data/tokenize/pieces.h"

namespace muster {

// Thread-safe: immutable.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual void Apply(Pieces& pieces) const = 0;
};

struct PreTokenizer {
  std::vector<std::unique_ptr<const PreTokenizerStep>> steps;
  // The last step writes bytes as characters (ByteLevel). It is left to the model, which then sees the bytes.
  bool byte_level = false;

  void Apply(Pieces& pieces) const {
    for (const auto& step : steps) step->Apply(pieces);
  }
};

// INVALID_ARGUMENT names what is not supported.
absl::StatusOr<PreTokenizer> ReadPreTokenizer(const JsonObject& json);

}  // namespace muster
