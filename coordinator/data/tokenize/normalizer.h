// Normalizers of tokenizer.json: they rewrite the text before it is cut.
// Source: huggingface/tokenizers, normalizers/.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/bert_words.h"
#include "coordinator/data/tokenize/json_reader.h"

namespace muster {

// Thread-safe: immutable.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Rewrites the text, which is UTF-8 and stays so. Returns whether the new text begins where the old one did: false
  // if its first characters were dropped. INVALID_ARGUMENT: a pattern's limits, see pattern.h.
  virtual absl::StatusOr<bool> Apply(std::string& text) const = 0;
};

// INVALID_ARGUMENT names what is not supported.
absl::StatusOr<std::unique_ptr<const Normalizer>> ReadNormalizer(const JsonObject& json);

// Reads the options of a BertNormalizer.
absl::StatusOr<BertOptions> ReadBertOptions(const JsonObject& json);

}  // namespace muster
