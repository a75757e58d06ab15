// The key "model" of tokenizer.json.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/json_reader.h"
#include "coordinator/data/tokenize/model.h"

namespace muster {

// `byte_level`: the pre-tokenizer leaves the bytes of words to the model.
absl::StatusOr<std::unique_ptr<const TokenModel>> ReadModel(const JsonObject& json, bool byte_level);

}  // namespace muster
