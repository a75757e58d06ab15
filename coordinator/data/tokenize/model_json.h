// The key "model" of tokenizer.json.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/json_reader.h"
#include "coordinator/data/tokenize/model.h"

namespace muster {

// `byte_level`: the pre-tokenizer leaves the bytes of words to the model.
absl::StatusOr<std::unique_ptr<const TokenModel>> ReadModel(const JsonObject& json, bool byte_level);

// A score of a Unigram model as Rust's serde_json reads it, from the nearest double: digits as a whole number, then one
// multiplication or division by a power of ten. It may differ in the last bit, on which ties between paths depend.
double ScoreAsRead(double nearest);

}  // namespace muster
